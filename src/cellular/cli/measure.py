"""`cellular measure`: images and labels in, per-cell tables out."""

import argparse

from cellular.cli.arguments import add_plate, add_puncta, find, measure_settings, report_problems

DESCRIPTION = (
    "Yellow puncta are autophagosomes, red-only puncta autolysosomes (green is quenched in acid). Green means not "
    "acidified; a count at one time is not flux."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; the defaults are those of MeasureSettings and PunctaSettings."""
    parser.epilog = DESCRIPTION
    parser.add_argument("images", metavar="IMAGES", help="folder of images, of a plate or of no plate at all")
    parser.add_argument("labels", metavar="LABELS", help="folder of label images, <field>_masks.png or .tif")
    parser.add_argument("--out", required=True, help="folder for the tables; a second run goes on where this stopped")
    add_plate(parser)
    add_puncta(parser)
    parser.add_argument("--parquet", action="store_true", help="write Parquet too")
    parser.add_argument("--anndata", action="store_true", help="write cells.h5ad too: obs cells, X features, spatial")
    parser.add_argument("--overlays", type=int, default=4, help="fields to draw puncta over")


def run(args: argparse.Namespace) -> int | None:
    """Measure, and say what was passed over; exit code 1 where something was."""
    from cellular.jobs.measure import measure

    settings = measure_settings(args)
    formats = ["csv", *(name for name in ("parquet", "anndata") if getattr(args, name))]
    plate = find(args, args.images, args.labels)
    result = measure(plate, args.labels, args.out, settings, formats=formats, overlays=args.overlays)
    print(f"{len(result.cells)} cells and {len(result.puncta)} puncta in {len(result.images)} fields: {args.out}")
    print(DESCRIPTION)
    return report_problems(result.problems)
