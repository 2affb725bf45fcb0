"""cellular demo: the whole job on simulated fields, in minutes."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", default="demo", help="folder for everything; an earlier demo in it is replaced")
    parser.add_argument("--quick", action="store_true", help="half a minute: too little training to be of use")
    parser.add_argument("--seed", type=int, default=0, help="of the simulation and the training")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")


def run(args: argparse.Namespace) -> None:
    from dataclasses import replace

    from cellular.jobs.demo import KEYS, QUICK, DemoSettings, demo

    settings = replace(QUICK if args.quick else DemoSettings(), seed=args.seed, device=args.device)
    result = demo(args.out, settings)
    shown = [column for column in result.table.columns if not column.endswith((" low", " high"))]
    print(f"\nTest fields (simulated), {result.seconds:.0f} s in all:\n")
    print(result.table[shown].to_string(index=False, float_format="{:.3f}".format))
    print(f"\nLook at {result.picture} and {result.folder / 'evaluation' / 'fine-tuned' / 'figures'}")
    print(
        f"Tables: {result.folder / 'results.md'}; {KEYS[0]} files: {result.folder / 'experiments' / 'demo' / 'models'}"
    )
