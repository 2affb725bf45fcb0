"""`cellular export`: label images, or a model, in another tool's format."""

import argparse

LABEL_FORMATS = ("cellpose", "coco", "yolo", "geojson", "imagej", "ome-zarr", "hdf5")
MODEL_FORMATS = ("bioimageio", "onnx")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", help="labels or outlines, a file or a folder of them; for bioimageio and onnx a model")
    parser.add_argument("--to", required=True, choices=(*LABEL_FORMATS, *MODEL_FORMATS), help="format to write")
    parser.add_argument("-o", "--out", required=True, help="folder to write to; for a model the file to write")
    parser.add_argument("--images", help="labels: folder of the images; default: beside the labels")
    parser.add_argument(
        "--cells", help="labels: table of field, label, class, measurements; default: prepare's cells.csv"
    )
    parser.add_argument("--author", help="bioimageio: your name, for the package's description")
    parser.add_argument("--test_image", "--test-image", help="bioimageio: an image to make the test input of")


def run(args: argparse.Namespace) -> int | None:
    return _export_model(args) if args.to in MODEL_FORMATS else _export_labels(args)


def _export_labels(args: argparse.Namespace) -> None:
    from pathlib import Path

    from cellular.data.formats.labelled import find_labelled
    from cellular.data.formats.write import EXPORTS

    fields = find_labelled(args.input, args.images, args.cells)
    written = EXPORTS[args.to](fields, Path(args.out))
    print(f"{len(fields)} field(s) in {len(written)} file(s):", *written[:5], sep="\n  ")
    print(f"  and {len(written) - 5} more" if len(written) > 5 else "", end="")


def _export_model(args: argparse.Namespace) -> None:
    from cellular.jobs.export_model import export_bioimageio, export_onnx

    if args.to == "onnx":
        print(f"wrote {export_onnx(args.input, args.out)}")
    else:
        print(f"wrote {export_bioimageio(args.input, args.out, author=args.author, test_image=args.test_image)}")
