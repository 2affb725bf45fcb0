"""What each choice in the starter's recipe is worth: short trainings that differ in one thing, several seeds each.

    python recipes/starter/ablation.py --fields FIELDS --nuclei NUCLEI --out DIR [--seeds 0 1 2] [--only NAME ...]
        [--simulated SIMULATED] [--set NAME=VALUE ...]

Every variant is trained, finished on the training fields (finish.py) and scored on the "val" fields: box AP at IoU 0.5.
Done ones are kept in DIR/ablation.csv, so that the command can be stopped and run again. --set applies to all variants.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
from finish import box_ap, finished, segmented

from cellular.files import read_csv, read_json, write_csv
from cellular.segment.model.registry import load_model, save_model
from train import SETTINGS, Sources, add_sources, changed, run

# Settings, and what to learn from, that a variant has other than the rest. "masks" comes after "base", whose model it
# takes its outlines from.
VARIANTS = {
    "base": ([], {}),
    "cells of 24 px": (["diam_mean=24", "crop_size=192"], {}),
    "grey, as published": (["channels=0,0"], {}),
    "no intensity jitter": (["jitter=0"], {}),
    "width 8": (["width=8"], {}),
    "width 24": (["width=24"], {}),
    "ellipses": ([], {"exponent": 2.0}),
    "boxes, corners hardly rounded": ([], {"exponent": 6.0}),
    "own masks where they fill the box": ([], {"refine": "base"}),
    "simulated fields too": ([], {"simulated": True}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_sources(parser)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=VARIANTS, metavar="NAME", help=", ".join(VARIANTS))
    args = parser.parse_args()
    table = args.out / "ablation.csv"
    rows = read_csv(table).to_dict("records") if table.is_file() else []
    for seed in args.seeds:
        for name in args.only or VARIANTS:
            if any(row["variant"] == name and row["seed"] == seed for row in rows):
                continue
            if VARIANTS[name][1].get("simulated") and args.simulated is None:
                print(f"{name}: left out, there is no --simulated")
                continue
            rows.append({"variant": name, "seed": seed, "box_ap50": score(name, seed, args)})
            write_csv(table, pd.DataFrame(rows))
    print(pd.DataFrame(rows).groupby("variant", sort=False)["box_ap50"].agg(["count", "mean", "min", "max"]).round(3))


def score(name: str, seed: int, args: argparse.Namespace) -> float:
    """Train one variant and score it on the validation fields."""
    changes, other = VARIANTS[name]
    settings = replace(changed(SETTINGS, [*args.set, *changes]), seed=seed)
    sources = Sources(args.fields, args.nuclei, exponent=other.get("exponent", Sources.exponent))
    if "refine" in other:
        sources = replace(sources, refine=folder_of(args.out, other["refine"], seed) / "finished.safetensors")
    if "simulated" in other:
        sources = replace(sources, simulated=args.simulated)
    folder = folder_of(args.out, name, seed)
    begun = (folder / "checkpoint.pt").is_file()
    result = run(sources, settings, folder, resume=begun)
    # Without the flips, which cost four times the work and lift every variant alike.
    model = finished(load_model(result.model), args.fields, augment=False)
    save_model(folder / "finished.safetensors", model.network, model.info)
    names = read_json(args.fields / "split.json")["val"]
    value = box_ap(segmented(model, args.fields, names, model.info.cellprob_threshold), model.info.score)
    print(f"{name}, seed {seed}: {value:.4f}", flush=True)
    return value


def folder_of(out: Path, name: str, seed: int) -> Path:
    return out / f"{name.replace(' ', '_').replace(',', '')}_{seed}"


if __name__ == "__main__":
    main()
