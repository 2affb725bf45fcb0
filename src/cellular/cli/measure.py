"""`cellular measure`: images and labels in, per-cell tables out."""

import argparse

DESCRIPTION = (
    "Yellow puncta are autophagosomes, red-only puncta autolysosomes (green is quenched in acid). Green means not "
    "acidified; a count at one time is not flux."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; the defaults are those of MeasureSettings and PunctaSettings."""
    parser.epilog = DESCRIPTION
    parser.add_argument("images", metavar="IMAGES", help="images named by field: composites, or channels _w1 _w2 _w3")
    parser.add_argument("labels", metavar="LABELS", help="folder of label images, <field>_masks.png or .tif")
    parser.add_argument("--out", required=True, help="folder for the tables; a second run goes on where this stopped")
    parser.add_argument("--pixel_size", "--pixel-size", type=float, metavar="UM", help="size of a pixel in um")
    parser.add_argument("--unit", choices=("px", "um"), default="px", help="unit of --min_sigma and --max_sigma")
    parser.add_argument("--min_sigma", "--min-sigma", type=float, default=1.4, help="smallest punctum, std. deviation")
    parser.add_argument("--max_sigma", "--max-sigma", type=float, default=5.6, help="largest punctum, std. deviation")
    parser.add_argument("--snr", type=float, default=2.3, help="least response over that of the surroundings")
    parser.add_argument("--visible", type=float, default=13.0, help="least contrast in standard deviations of a pixel")
    parser.add_argument("--contrast", type=float, default=0.15, help="least contrast over local brightness")
    parser.add_argument(
        "--kind_ratio", "--kind-ratio", type=float, default=0.35, help="weaker over stronger channel, least for yellow"
    )
    parser.add_argument(
        "--second_look",
        "--second-look",
        type=float,
        default=1.35,
        help="factor on --snr and --visible once brighter puncta are taken away; 0: look once",
    )
    parser.add_argument("--detector", choices=("log", "spotiflow"), default="log", help="what finds the puncta")
    parser.add_argument(
        "--spotiflow_model", "--spotiflow-model", default="general", help="name or folder of a Spotiflow model"
    )
    parser.add_argument(
        "--spotiflow_probability", "--spotiflow-probability", type=float, help="least; the model's own by default"
    )
    parser.add_argument("--parquet", action="store_true", help="write Parquet too")
    parser.add_argument("--anndata", action="store_true", help="write cells.h5ad too: obs cells, X features, spatial")
    parser.add_argument("--overlays", type=int, default=4, help="fields to draw puncta over")


def run(args: argparse.Namespace) -> int | None:
    """Measure, and say what was passed over; exit code 1 where something was."""
    from cellular.autophagy.measure.field import MeasureSettings
    from cellular.autophagy.measure.puncta import PunctaSettings
    from cellular.cli.main import EXIT_PROBLEMS
    from cellular.jobs.measure import measure_files

    names = (
        *("min_sigma", "max_sigma", "unit", "snr", "visible", "contrast", "kind_ratio"),
        *("second_look", "detector", "spotiflow_model", "spotiflow_probability"),
    )
    settings = MeasureSettings(args.pixel_size, PunctaSettings(**{name: getattr(args, name) for name in names}))
    formats = ["csv", *(name for name in ("parquet", "anndata") if getattr(args, name))]
    result = measure_files(args.images, args.labels, args.out, settings, formats=formats, overlays=args.overlays)
    print(f"{len(result.cells)} cells and {len(result.puncta)} puncta in {len(result.images)} fields: {args.out}")
    print(DESCRIPTION)
    for name, problem in result.problems.items():
        print(f"passed over {name}: {problem}")
    return EXIT_PROBLEMS if result.problems else None
