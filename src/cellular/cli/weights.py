"""`cellular weights`: the models that are on this machine, the ones that could be, and where from."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the list as JSON")


def run(args: argparse.Namespace) -> None:
    import json

    from cellular.data.archive.download import weights_folders
    from cellular.jobs.weights import weights

    rows = weights()
    if args.json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        state = row["path"] or f"not here; cellular download weights {row['name']} fetches {row['url']}"
        print(f"{row['name']:<17}{state}")
        print(f"{'':<17}{row['licence']}; SHA-256 {row['sha256'] or 'recorded at first use'}")
    print("\nLooked in, in this order:", *weights_folders(), sep="\n  ")
