"""`cellular export`: label images, or a model, in another tool's format."""

import argparse

from cellular.cli.arguments import add_plate, find, report_problems
from cellular.cli.engines import add_engine, engine_of

LABEL_FORMATS = ("cellpose", "coco", "yolo", "geojson", "imagej", "ome-zarr", "hdf5")
MODEL_FORMATS = ("bioimageio", "onnx")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "input",
        help="labels or outlines, a file or a folder of them; for bioimageio and onnx a model; for ome-zarr also a run",
    )
    parser.add_argument("--to", required=True, choices=(*LABEL_FORMATS, *MODEL_FORMATS), help="format to write")
    parser.add_argument("-o", "--out", required=True, help="folder to write to; for a model the file to write")
    parser.add_argument("--images", help="labels: folder of the images; default: beside the labels")
    parser.add_argument(
        "--cells", help="labels: table of field, label, class, measurements; default: prepare's cells.csv"
    )
    parser.add_argument(
        "--is_plate", "--is-plate", action="store_true", help="ome-zarr: INPUT is a plate's folder of images"
    )
    parser.add_argument("--labels", help="with --is_plate: folder of the label images")
    add_plate(parser)
    parser.add_argument("--author", help="bioimageio: your name, for the package's description")
    parser.add_argument("--test_image", "--test-image", help="bioimageio: an image to make the test input of")
    add_engine(parser)


def run(args: argparse.Namespace) -> int | None:
    """Export, and say what was written."""
    from cellular.jobs.export import export

    options = {name: getattr(args, name) for name in ("images", "cells", "author", "test_image")}
    source = find(args, args.input, args.labels) if args.is_plate else args.input
    with engine_of(args) as engine:
        done = export(source, args.to, args.out, engine=engine, **options)
    what = f"{done.fields} field(s) in {len(done.written)} file(s):" if done.fields else "wrote"
    print(what, *done.written[:5], sep="\n  ")
    if len(done.written) > 5:
        print(f"  and {len(done.written) - 5} more")
    return report_problems(done.problems)
