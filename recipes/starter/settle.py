"""Give a model that gpu.py trained its threshold and scores, by what the models of the folds found in unseen wells.

    python recipes/starter/settle.py OUT close24 --fields FIELDS --out starter.safetensors
    python recipes/starter/settle.py OUT nuclei18 --scale 26 --out nuclei.safetensors

OUT is the folder of gpu.py and heldout.py; the model is that of all fields. Of the 35 training fields alone; without
flips. On cells that it has learned by heart a model would flatter itself. A model of nuclei keeps Cellpose's own
thresholds; the scale that it works at (px a nucleus) is the best by `check.py nuclei --part settle` (both; 18, 22, 26
and 30 px were tried).
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from boxes import FIELD_DIAMETER
from crossval import best_threshold, of_recipe, read_predictions
from gpu import FLOW_THRESHOLD

from cellular.files import read_json
from cellular.segment.model.registry import load_model, save_model
from cellular.settings import settings_to_dict

ROLES = ("mRFP", "EGFP", "transmitted")
ABOUT = "Starter model of cellular: Drosophila S2R+ cells of the CELLULAR dataset, nuclei and simulated sheets of cells"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trained", type=Path, help="the folder OUT of gpu.py and heldout.py")
    parser.add_argument("recipe")
    parser.add_argument("--fields", type=Path)
    parser.add_argument("--scale", type=float, help="px a nucleus; of a model of nuclei")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    if args.scale:
        model = load_model(args.trained / f"{args.recipe}.safetensors")
        model.network.diam_mean.data.fill_(args.scale)
        save_model(args.out, model.network, model.info, half=True)
        return
    if args.fields is None:
        parser.error("--fields is needed: thresholds and scores are settled on them")
    names = read_json(args.fields / "split.json")["train"]
    archives = sorted(args.trained.glob(f"predictions_{args.recipe}_fold*.zip"))
    found = read_predictions(archives, args.fields, names)
    value, threshold, score = best_threshold(of_recipe(found, args.recipe))
    print(f"cell probability {threshold:g}: box AP50 {value:.3f} in the wells left out")
    model = load_model(args.trained / f"{args.recipe}_43.safetensors")
    model.network.diam_labels.data.fill_(FIELD_DIAMETER)
    info = replace(
        model.info,
        roles=ROLES,
        optional_roles=("transmitted",),
        flow_threshold=FLOW_THRESHOLD,
        cellprob_threshold=threshold,
        augment=False,
        resample=False,
        score=settings_to_dict(score),
        about=ABOUT,
    )
    save_model(args.out, model.network, info, half=True)
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.2f} MB; {info}")


if __name__ == "__main__":
    main()
