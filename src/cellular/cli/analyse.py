"""`cellular analyse`: a plate folder in, a report out."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; the defaults are those of AnalyseSettings."""
    parser.add_argument("folder", metavar="FOLDER", help="images named by field: composites, or channels _w1 _w2 _w3")
    parser.add_argument("--out", required=True, help="folder for everything; a second run goes on where this stopped")
    parser.add_argument("--labels", help="folder of label images, in place of segmenting")
    parser.add_argument("--model", default="starter", help="segmentation model: a name or a file")
    parser.add_argument("--diameter", type=float, help="cell diameter in px; left out, the model's or estimated")
    parser.add_argument(
        "--channels", type=int, nargs="+", metavar="C", help="image channels to segment by, 0 = grey; the model's"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument("--state_model", "--state-model", help="model.skops or .safetensors of classify train")
    parser.add_argument("--control", help="treatment to compare with; 'fed' where there is one")
    parser.add_argument("--treatment", default="treatment", help="column that says how a cell was treated")
    parser.add_argument(
        "--replicate", help="column that tells biological replicates apart; without it, each date is one"
    )


def run(args: argparse.Namespace) -> int | None:
    """Analyse, and say what was passed over; exit code 1 where something was."""
    from cellular.autophagy.stats_design import StatsSettings
    from cellular.cli.main import EXIT_PROBLEMS
    from cellular.workflows.analyse import AnalyseSettings, analyse

    settings = AnalyseSettings(
        model=args.model,
        diameter=args.diameter,
        channels=tuple(args.channels) if args.channels else None,
        device=args.device,
        state_model=args.state_model,
        stats=StatsSettings(treatment=args.treatment, control=args.control, replicate=args.replicate),
    )
    result = analyse(args.folder, args.out, settings, labels=args.labels)
    print(f"{len(result.cells)} cells in {result.cells['field'].nunique()} fields")
    compared = result.comparison
    for line in (*compared.refusals, *compared.notes) if compared else [f"no comparison: {result.no_comparison}"]:
        print(line)
    for name, problem in result.problems.items():
        print(f"passed over {name}: {problem}")
    print(f"report: {result.page}")
    return EXIT_PROBLEMS if result.problems else None
