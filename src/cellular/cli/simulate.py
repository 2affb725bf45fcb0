"""`cellular simulate`: fields of simulated reporter cells, laid out as the archive is, with truth."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; the defaults are those of SimulationSettings."""
    parser.add_argument("out", metavar="OUT", help="folder to make; must not exist, or be empty")
    parser.add_argument("--fields", type=int, default=6, help="positions (well and site)")
    parser.add_argument("--size", type=int, default=2048, help="side of a field in px")
    parser.add_argument("--timepoints", type=int, default=1, help="images of each position")
    parser.add_argument("--seed", type=int, default=0, help="same seed and options, same bytes")
    parser.add_argument(
        "--cells_per_field", "--cells-per-field", type=int, help="cells per field; without it, as dense as real fields"
    )
    parser.add_argument("--diameter", type=float, default=121.0, help="mean cell diameter in px")
    parser.add_argument(
        "--unidentified_share", "--unidentified-share", type=float, default=0.05, help="share of unclassified cells"
    )


def run(args: argparse.Namespace) -> None:
    """Simulate and say what is where."""
    from cellular.jobs.simulate import simulate
    from cellular.simulate.settings import SimulationSettings

    result = simulate(
        args.out,
        SimulationSettings(
            fields=args.fields,
            size_px=args.size,
            timepoints=args.timepoints,
            seed=args.seed,
            cells_per_field=args.cells_per_field,
            diameter_px=args.diameter,
            unidentified_share=args.unidentified_share,
        ),
    )
    print(f"{len(result.fields)} fields, {result.cells} cells, {result.puncta} puncta in {result.folder}")
    for folder in (result.images, result.composites, result.masks, result.truth):
        print(f"  {folder}")
