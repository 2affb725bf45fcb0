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
    parser.add_argument("--keep_archive", "--keep-archive", action="store_true", help="keep the zip once unpacked")


def run(args: argparse.Namespace) -> int | None:
    from cellular.errors import SettingsError

    if args.names and args.what != "weights":
        raise SettingsError(f"Names ({', '.join(args.names)}) go with 'weights' only, not with '{args.what}'")
    if (args.annotated or args.fields) and args.what != "images":
        raise SettingsError(f"--annotated and --fields go with 'images' only, not with '{args.what}'")
    return _weights(args.names) if args.what == "weights" else _archive(args)


def _weights(names: list[str]) -> None:
    from cellular.data.archive.catalogue import WEIGHTS, weights_record
    from cellular.data.archive.download import fetch_size_model, fetch_weights

    for name in names or WEIGHTS:
        record = weights_record(name)
        print(f"{name}: {record.licence}\n  Please cite: {record.citation}", flush=True)
        print(f"  {fetch_weights(name)}", flush=True)
        if size_model := fetch_size_model(name):
            print(f"  {size_model}", flush=True)


def _archive(args: argparse.Namespace) -> None:
    from cellular.data.archive.catalogue import find_archive
    from cellular.data.archive.dataset import fetch_archive, fetch_fields

    record = find_archive(args.what)
    print(f"{record.name}: {record.about}\n{record.terms}\nPlease cite: {record.citation}", flush=True)
    if args.annotated or args.fields:
        fields = fetch_fields(args.out, args.fields, annotated=args.annotated)
        print(f"{len(fields)} fields in {args.out}/images")
    else:
        print(f"Unpacked in {fetch_archive(args.what, args.out, keep_archive=args.keep_archive)}")
