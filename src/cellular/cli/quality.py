"""`cellular quality`: a plate folder in; what is out of focus, saturated, odd or unevenly lit out."""

import argparse

from cellular.cli.arguments import add_plate, find, report_problems
from cellular.cli.engines import add_engine, engine_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="folder of images as the microscope wrote them")
    parser.add_argument("--out", required=True, help="folder for tables, thumbnails and quality.html")
    parser.add_argument("--labels", help="folder of label images: numbers of cells and debris are judged too")
    parser.add_argument(
        "--flat_field",
        "--flat-field",
        metavar="off|FOLDER",
        help="off, or a folder of flat-field images to judge; left out, it is estimated over the fields",
    )
    add_plate(parser)
    add_engine(parser)


def run(args: argparse.Namespace) -> int | None:
    """Print what is flagged and why; exit code 1 where a field could not be read."""
    from cellular.jobs.quality import quality

    plate = find(args, args.folder, args.labels)
    with engine_of(args, threads=True) as engine:
        result, problems = quality(plate, args.out, labels=args.labels, flat_field=args.flat_field, engine=engine)
    odd = result.table[result.table["flagged"].astype(bool)]
    print(f"{len(odd)} of {len(result.table)} fields are set apart from the others")
    for row in odd.itertuples():
        print(f"  {row.field}: {row.reasons}")
    for note in result.notes:
        print(note)
    if len(result.flat_field.table):
        print(result.flat_field.table.to_string(index=False, float_format="{:.3g}".format))
    print(f"written: {args.out}/quality.csv, quality.html")
    return report_problems(problems)
