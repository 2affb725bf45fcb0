"""`cellular inspect`: what would be understood of a folder, before anything is done with it."""

import argparse

from cellular.cli.arguments import add_plate, find


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="folder of images, an image, or an OME-Zarr plate")
    parser.add_argument("--labels", help="folder of label images")
    parser.add_argument("--out", help="folder for fields.csv, plate.json and a picture of the plate")
    parser.add_argument("--rows", type=int, default=20, help="fields to list")
    add_plate(parser)


def run(args: argparse.Namespace) -> int | None:
    """Print what was understood, field by field; exit code 1 where something is odd."""
    from cellular.cli.main import EXIT_PROBLEMS
    from cellular.jobs.inspect import inspect

    plate = find(args, args.folder, args.labels, tell=False)
    result = inspect(plate, args.out)
    print("\n".join(plate.summary()))
    print(result.fields.head(args.rows).to_string(index=False, na_rep="-"))
    if len(result.fields) > args.rows:
        print(f"... and {len(result.fields) - args.rows} more")
    for name, problem in result.problems.items():
        print(f"odd: {name}: {problem}")
    if args.out:
        print(f"written: {args.out}")
    return EXIT_PROBLEMS if result.problems else None
