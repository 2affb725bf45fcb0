"""`cellular download`: the CELLULAR dataset's archives, single fields of it, or model weights."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("masks", "images", "experiments", "weights"), help="what to fetch")
    parser.add_argument("names", nargs="*", help="weights: which ones (cellular weights lists them)")
    parser.add_argument("-o", "--out", default="CELLULAR", help="folder that receives masks/, images/, experiments/")
    parser.add_argument("--annotated", action="store_true", help="images: only the fields that have masks (1.4 GB)")
    parser.add_argument(
        "--fields", action="append", default=[], metavar="PATTERN", help="images: only these fields, e.g. '*_C03_*'"
    )
    parser.add_argument("--shard", metavar="I/N", help="with --annotated or --fields: part I of N, for job arrays")
    parser.add_argument("--keep_archive", "--keep-archive", action="store_true", help="keep the zip once unpacked")


def run(args: argparse.Namespace) -> None:
    """Say the terms, fetch, and say what came."""
    from cellular.jobs.download import check_options, download, terms

    options = {name: getattr(args, name) for name in ("names", "fields", "annotated", "keep_archive", "shard")}
    check_options(args.what, args.names, args.fields, args.annotated, args.shard)
    print(terms(args.what, args.names), flush=True)
    done = download(args.what, args.out, **options)
    if args.what == "weights":
        print(*(f"  {file}" for file in done), sep="\n")
    elif args.annotated or args.fields:
        print(f"{len(done)} fields in {args.out}/images")
    else:
        print(f"Unpacked in {done[0]}")
