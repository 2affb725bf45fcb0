"""`cellular segment`: label the cells in any images."""

import argparse

from cellular.cli.arguments import (
    NUMBERS_TOO,
    add_plate,
    add_segmentation,
    boolean,
    find,
    report_problems,
    segmentation_settings,
)
from cellular.cli.engines import add_engine, engine_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", help="images, and folders of images, of a plate or of no plate at all")
    parser.add_argument("--model", default="starter", help="starter, nuclei, cyto, cyto2, cyto3 or a model file")
    parser.add_argument("--out", required=True, help="folder for label images, cells.csv and overlays")
    add_segmentation(parser, channels=False, seeds=True)
    add_plate(parser, wells=False, more=NUMBERS_TOO)
    parser.add_argument("--overlays", type=boolean, default=True, help="draw outlines over each image")
    add_engine(parser)


def run(args: argparse.Namespace) -> int:
    from cellular.jobs.segment import segment
    from cellular.segment.segmenter import Segmenter

    settings = segmentation_settings(args)
    plate = find(args, args.images)
    segmenter = Segmenter.from_pretrained(args.model, args.device)
    with engine_of(args, gpu=segmenter.device.type != "cpu", threads=True) as engine:
        result = segment(plate, args.out, segmenter, settings, overlays=args.overlays, engine=engine)
    print(f"{len(result.cells)} cells in {len(result.labels)} of {len(plate)} images -> {args.out}")
    if len(result.nuclei):
        cells = result.cells
        print(f"{cells['parted'].sum()} of them parted by nuclei, {(cells['nuclei'] == 0).sum()} without a nucleus")
        print(f"{(result.nuclei['label'] == 0).sum()} of {len(result.nuclei)} nuclei in no cell: nuclei.csv, label 0")
    return report_problems(result.problems)
