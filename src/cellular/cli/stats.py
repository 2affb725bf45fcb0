"""`cellular stats`: compare treatments, replicate by replicate."""

import argparse
from typing import TYPE_CHECKING

from cellular.cli.arguments import REPLICATE, add_assay, add_corrections, add_exclude, assay_settings
from cellular.cli.engines import add_engine, engine_of

if TYPE_CHECKING:
    from cellular.report.assay import Assay


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; the defaults are those of StatsSettings."""
    parser.add_argument("cells", metavar="CELLS", help="cells.csv or cells.parquet of measure or classify")
    parser.add_argument("--out", required=True, help="folder for tables, figures and stats.html")
    parser.add_argument("--images", help="images.csv; without it, the one beside CELLS, else the field names")
    parser.add_argument("--treatment", default="treatment", help="column that says how a cell was treated")
    parser.add_argument("--control", help="treatment to compare with; 'fed' where there is one")
    parser.add_argument("--replicate", help=REPLICATE)
    parser.add_argument(
        "--features", nargs="+", default=[], metavar="COLUMN", help="columns to compare; all by default"
    )
    parser.add_argument("--counts", nargs="+", default=[], metavar="COLUMN", help="columns to treat as counts")
    parser.add_argument(
        "--min_replicates", "--min-replicates", type=int, default=3, help="fewest biological replicates for a p-value"
    )
    parser.add_argument("--map", nargs="+", default=["pca"], choices=["pca", "umap"], help="maps of all cells")
    add_exclude(parser)
    add_corrections(parser, "states told by hand stand over those in CELLS")
    add_assay(parser)
    add_engine(parser, shards=False)


def run(args: argparse.Namespace) -> None:
    """Compare, and print n, effects and why p-values are refused."""
    from cellular.autophagy.compare.design import StatsSettings
    from cellular.autophagy.compare.effects import ALL
    from cellular.jobs.stats import compare_tables
    from cellular.report.comparison import medium_warnings

    settings = StatsSettings(
        treatment=args.treatment,
        control=args.control,
        replicate=args.replicate,
        features=tuple(args.features),
        counts=tuple(args.counts),
        min_replicates=args.min_replicates,
        **assay_settings(args),
    )
    options = {"images": args.images, "maps": args.map, "exclude": args.exclude, "corrections": args.corrections}
    with engine_of(args) as engine:
        result, figures = compare_tables(args.cells, args.out, settings, engine=engine, **options)
    print(result.units.to_string(index=False))
    overall = result.effects[result.effects["timepoint"] == ALL]
    columns = ["feature", "measure", "treatment", "estimate", "ci_low", "ci_high", "p_value", "q_value", "unit", "df"]
    if len(overall):
        print(overall[columns].to_string(index=False, float_format="{:.4g}".format, na_rep="-"))
    if len(result.states):
        print(result.states.to_string(index=False, float_format="{:.3f}".format, na_rep="-"))
    if figures.assay is not None:
        _print_assay(figures.assay)
    for line in (*result.refusals, *result.notes, *medium_warnings(result)):
        print(line)
    states = "states.csv, " if len(result.states) else ""
    print(f"written: {args.out}/effects.csv, over_time.csv, units.csv, {states}stats.html")


def _print_assay(assay: "Assay") -> None:
    """Flux and doses, as far as there are any."""
    from cellular.autophagy.compare.effects import ALL

    if assay.flux is not None:
        columns = ["quantity", "feature", "treatment", "control", "measure", "estimate", "ci_low", "ci_high", "p_value"]
        rows = assay.flux.table[assay.flux.table["timepoint"] == ALL]
        print(rows[[*columns, "unit", "replicates"]].to_string(index=False, float_format="{:.4g}".format, na_rep="-"))
    if len(assay.curves):
        columns = ["feature", "treatment", "unit", "doses", "replicates", "p_trend", "ec50", "ec50_low", "ec50_high"]
        rows = assay.curves[[*columns, "refusal", "note"]]
        print(rows.to_string(index=False, float_format="{:.4g}".format, na_rep="-"))
    for line in assay.flux.warnings if assay.flux else ():
        print(line)
