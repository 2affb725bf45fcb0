"""cellular segment: label the cells in any images."""

import argparse

from cellular.cli.arguments import add_segmentation, boolean, segmentation_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image files (TIFF, PNG, JPEG) or folders of them")
    parser.add_argument("--model", default="starter", help="starter, cyto, cyto2, cyto3, or a model file")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for label images, cells.csv and overlays")
    add_segmentation(parser)
    parser.add_argument("--overlays", type=boolean, default=True, help="draw outlines over each image")


def run(args: argparse.Namespace) -> int:
    from cellular.cli.main import EXIT_PROBLEMS
    from cellular.jobs.segment import find_images, segment_files
    from cellular.segment.segmenter import Segmenter

    settings = segmentation_settings(args)
    images = find_images(args.images)
    result = segment_files(images, Segmenter.from_pretrained(args.model, args.device), args.out, settings)
    if args.overlays:
        from cellular.report.outlines import draw_overlays

        draw_overlays(images, result.labels, args.out)
    print(f"{len(result.cells)} cells in {len(result.labels)} of {len(images)} images -> {args.out}")
    for name, problem in result.problems.items():
        print(f"  passed over {name}: {problem}")
    return EXIT_PROBLEMS if result.problems else 0
