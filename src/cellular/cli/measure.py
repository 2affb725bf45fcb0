"""`cellular measure`: images and labels in, per-cell tables out."""

import argparse

from cellular.cli.arguments import (
    add_corrections,
    add_csv,
    add_flat_field,
    add_plate,
    add_puncta,
    add_reporter,
    find,
    measure_settings,
    report_problems,
)
from cellular.cli.engines import add_engine, engine_of, on_gpu

DESCRIPTION = (
    "Yellow puncta are autophagosomes, red-only puncta autolysosomes (green is quenched in acid). Green means not "
    "acidified; a count at one time is not flux."
)
COUNTED = {"cells": "cells", "puncta": "puncta", "nuclei": "nuclei", "marker_puncta": "puncta of markers"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; the defaults are those of MeasureSettings and PunctaSettings."""
    parser.epilog = DESCRIPTION
    parser.add_argument("images", metavar="IMAGES", help="folder of images, of a plate or of no plate at all")
    parser.add_argument("labels", metavar="LABELS", help="folder of label images, <field>_masks.png or .tif")
    parser.add_argument("--out", required=True, help="folder for the tables; a second run goes on where this stopped")
    add_plate(parser)
    add_reporter(parser)
    add_puncta(parser)
    add_corrections(parser, "corrected fields are measured by them, and only these anew")
    add_flat_field(parser, "nothing is done")
    add_csv(parser)
    parser.add_argument("--anndata", action="store_true", help="write cells.h5ad too: obs cells, X features, spatial")
    parser.add_argument("--device", default="auto", help="where nuclei are found: auto, cpu, cuda, cuda:N or mps")
    parser.add_argument("--overlays", type=int, default=4, help="fields to draw puncta over")
    add_engine(parser)


def run(args: argparse.Namespace) -> int | None:
    """Measure, and say what was passed over; exit code 1 where something was."""
    from cellular.jobs.measure import measure

    settings = measure_settings(args)
    formats = [name for name in ("csv", "anndata") if getattr(args, name)]
    plate = find(args, args.images, args.labels)
    options = {name: getattr(args, name) for name in ("overlays", "nuclei", "device", "flat_field", "corrections")}
    with engine_of(args, gpu=args.nuclei == "auto" and on_gpu(args.device), threads=True) as engine:
        result = measure(plate, args.labels, args.out, settings, formats=formats, engine=engine, **options)
    counted = ", ".join(
        f"{result.tables.rows(name)} {words}" for name, words in COUNTED.items() if name in result.tables
    )
    if args.corrections:
        edited, deleted = (int(result.images[name].sum()) for name in ("cells_edited", "cells_deleted"))
        told = int(result.cells["state_by_hand"].sum()) if "state_by_hand" in result.cells else 0
        print(f"{edited} cells edited by hand, {deleted} deleted, {told} states told by hand")
    print(f"{counted} in {result.tables.rows('images')} fields: {args.out}")
    if "puncta_yellow" in result.cells:
        print(DESCRIPTION)
    return report_problems(result.problems)
