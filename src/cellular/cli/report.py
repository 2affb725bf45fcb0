"""`cellular report`: the page of a run, made again."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("run", metavar="RUN", help="folder that analyse, evaluate, reproduce or demo wrote")


def run(args: argparse.Namespace) -> None:
    """Make the page, and say where it is."""
    from cellular.jobs.report import report

    print(f"report: {report(args.run)}")
