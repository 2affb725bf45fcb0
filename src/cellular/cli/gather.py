"""`cellular gather`: join what shards did."""

import argparse
import os


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="OUT", help="the --out of commands with --shard")
    parser.add_argument("--partial", action="store_true", help="join what is there, even where something is missing")


def run(args: argparse.Namespace) -> int | None:
    """Do the rest of the shards' command; exit code 1 where something was passed over or is missing."""
    from cellular.cli.main import EXIT_ERROR, main
    from cellular.jobs.gather import gather, gathered

    out, here = os.path.abspath(args.folder), os.getcwd()
    command = gather(out)
    os.chdir(command.folder)  # the command's paths may be relative
    try:
        code = main([*command.arguments, "--gather", "partial" if args.partial else "whole"])
    finally:
        os.chdir(here)
    if code < EXIT_ERROR and not args.partial:
        gathered(out)
    return code
