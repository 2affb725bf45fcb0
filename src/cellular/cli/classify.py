"""`cellular classify train|predict`: the autophagy state of measured cells."""

import argparse
from typing import TYPE_CHECKING

from cellular.cli.arguments import add_corrections, add_plate, find

if TYPE_CHECKING:
    from cellular.data.plate import Plate
    from cellular.jobs.classify import TrainedState


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare both tasks; the defaults are those of ClassifySettings and CropSettings."""
    tasks = parser.add_subparsers(dest="task", metavar="TASK", required=True)
    kind = argparse.ArgumentDefaultsHelpFormatter
    train = tasks.add_parser("train", help="learn from cells whose state is known", formatter_class=kind)
    train.add_argument("cells", metavar="CELLS", help="cells.csv of cellular measure")
    train.add_argument("--out", required=True, help="folder for the model and its validation")
    train.add_argument(
        "--truth",
        help="CSV with field, label and class (or state): two states in any words, others empty or Unidentified; "
        "left out, the wells' treatment stands in",
    )
    add_corrections(train, "the states told by hand are the truth, in place of --truth, and these cells alone")
    train.add_argument("--positive", help="state that probabilities are of, if not activated")
    train.add_argument(
        "--unidentified", choices=("unlabelled", "class"), default="unlabelled", help="what such cells are"
    )
    train.add_argument("--seed", type=int, default=0, help="any whole number from 0")
    train.add_argument(
        "--backend", choices=("trees", "crops"), default="trees", help="trees on the measurements, network on pictures"
    )
    train.add_argument("--trees", type=int, default=120, help="rounds of boosting")
    crops = train.add_argument_group("--backend crops")
    _add_pictures(crops)
    crops.add_argument(
        "--brightness", choices=("kept", "relative"), default="kept", help="relative: only each cell's pattern is shown"
    )
    crops.add_argument("--crop_px", "--crop-px", type=int, default=160, help="side of the square about a cell, px")
    crops.add_argument("--epochs", type=int, default=16, help="rounds of 1536 cells")
    crops.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    add_plate(train, wells=False, more="; and, or only, what the network sees of mRFP, EGFP, transmitted (mRFP EGFP)")
    predict = tasks.add_parser("predict", help="tell the state of other cells", formatter_class=kind)
    predict.add_argument("cells", metavar="CELLS", help="cells.csv of cellular measure")
    predict.add_argument("--model", required=True, help="model.safetensors of classify train")
    predict.add_argument("--out", required=True, help="folder for cells.csv with states, and explanations.csv")
    add_corrections(predict, "states told by hand stand over the model's")
    predict.add_argument("--top", type=int, default=3, help="features that explain each cell; 0 for none")
    predict.add_argument(
        "--explain", choices=("occlusion", "shapley"), default="occlusion", help="how trees are explained"
    )
    _add_pictures(predict.add_argument_group("a model of --backend crops"))
    add_plate(predict, wells=False)


def run(args: argparse.Namespace) -> None:
    """Train or predict, and print how well it went."""
    if args.task == "train":
        _train(args)
    else:
        _predict(args)


def _add_pictures(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--images", help="folder of images that CELLS was measured on")
    group.add_argument("--labels", help="folder of label images that CELLS was measured with")


def _plate(args: argparse.Namespace) -> "Plate | None":
    """The plate of `--images`, read as the options say; None where it is not given."""
    return find(args, args.images, tell=False) if args.images else None


def _train(args: argparse.Namespace) -> None:
    from cellular.jobs.classify import caveat

    trained = _train_crops(args) if args.backend == "crops" else _train_trees(args)
    result = trained.validation
    shown = result.left_out.rename(columns={"left_out": f"{result.unit} left out"})
    print(shown.to_string(index=False, float_format="{:.3f}".format))
    print(f"{result.unit}s never seen: balanced accuracy {result.balanced_accuracy:.3f},")
    print(f"accuracy {result.accuracy:.3f},")
    print(f"AUC per cell {result.auc:.3f}, AUC per field {result.field_auc:.3f}, Brier score {result.brier:.3f}")
    print(result.confusion_all.to_string())
    for remark in result.remarks:
        print(f"warning: {remark}")
    if said := caveat(args.truth, args.corrections):
        print(said)
    print(f"model: {trained.model}")


def _train_trees(args: argparse.Namespace) -> "TrainedState":
    from cellular.autophagy.state.tree_model import ClassifySettings
    from cellular.jobs.classify import train_state

    settings = ClassifySettings(unidentified=args.unidentified, trees=args.trees, seed=args.seed)
    return train_state(args.cells, args.out, args.truth, settings, args.positive, args.corrections)


def _train_crops(args: argparse.Namespace) -> "TrainedState":
    from cellular.autophagy.state.crop_model import CropSettings
    from cellular.jobs.classify import pictures, train_crop_state

    shown = [word for word in args.channels if "=" not in word]
    args.channels = [word for word in args.channels if "=" in word]
    settings = CropSettings(
        channels=tuple(shown) or CropSettings.channels,
        side_px=args.crop_px,
        size=min(80, args.crop_px),
        brightness=args.brightness,
        unidentified=args.unidentified,
        epochs=args.epochs,
        device=args.device,
        seed=args.seed,
    )
    where = pictures(_plate(args), args.labels)
    return train_crop_state(args.cells, args.out, *where, args.truth, settings, args.positive, args.corrections)


def _predict(args: argparse.Namespace) -> None:
    from cellular.jobs.classify import classify

    where = {"images": _plate(args), "labels": args.labels}
    how = {"top": args.top, "method": args.explain, "corrections": args.corrections}
    cells = classify(args.cells, args.model, args.out, **where, **how)
    print(f"{len(cells)} cells: " + ", ".join(f"{n} {state}" for state, n in cells["state"].value_counts().items()))
    if "state_by_hand" in cells:
        print(f"{cells['state_by_hand'].sum()} of these states were told by hand")
