"""`cellular track`: follow cells over timepoints."""

import argparse

from cellular.cli.arguments import add_corrections
from cellular.cli.engines import add_engine, engine_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; the defaults are those of TrackSettings."""
    parser.add_argument("labels", metavar="LABELS", help="folder of label images, named by field and timepoint")
    parser.add_argument("--out", required=True, help="folder for tables, pictures and exports")
    parser.add_argument("--pattern", help="regular expression with groups 'timepoint' and 'series', for other names")
    parser.add_argument("--cells", help="cells.csv of measure or classify: appearance, and states along tracks")
    parser.add_argument("--appearance", nargs="+", default=[], metavar="COLUMN", help="columns of --cells to link by")
    parser.add_argument("--truth", help="tracks.csv of true tracks, label images beside it: score against it")
    add_corrections(parser, "the series of corrected fields are followed anew")
    parser.add_argument("--export", nargs="+", default=[], help="laptrack, ctc, geff, napari")
    parser.add_argument(
        "--max_distance", "--max-distance", type=float, default=0.8, help="farthest step, in median cell diameters"
    )
    parser.add_argument("--max_gap", "--max-gap", type=int, default=1, help="missing timepoints a track may bridge")
    parser.add_argument("--no_divisions", "--no-divisions", action="store_true", help="never split a track")
    add_engine(parser)
    parser.add_argument("--no_drift", "--no-drift", action="store_true", help="leave the field's common movement in")


def run(args: argparse.Namespace) -> int | None:
    """Track, print lengths, consistency and scores; exit code 1 where a series was passed over."""
    from cellular.cli.main import EXIT_PROBLEMS
    from cellular.jobs.track import track
    from cellular.track.link import TrackSettings

    settings = TrackSettings(
        max_distance=args.max_distance,
        max_gap=args.max_gap,
        divisions=not args.no_divisions,
        correct_drift=not args.no_drift,
    )
    options = {name: getattr(args, name) for name in ("pattern", "cells", "appearance", "truth", "corrections")}
    with engine_of(args) as engine:
        result = track(args.labels, args.out, settings, exports=args.export, engine=engine, **options)
    print(result.summary.round(3).to_string(index=False))
    if result.scores is not None:
        print(result.scores.round(3).to_string(index=False))
    print(f"{len(result.tracks)} cells in {args.out}/tracks.csv")
    for series, problem in result.problems.items():
        print(f"passed over {series}: {problem}")
    return EXIT_PROBLEMS if result.problems else None
