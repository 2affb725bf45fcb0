"""`cellular classify train|predict`: the autophagy state of measured cells."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare both tasks; the defaults are those of ClassifySettings."""
    tasks = parser.add_subparsers(dest="task", metavar="TASK", required=True)
    kind = argparse.ArgumentDefaultsHelpFormatter
    train = tasks.add_parser("train", help="learn from cells whose state is known", formatter_class=kind)
    train.add_argument("cells", metavar="CELLS", help="cells.csv of cellular measure")
    train.add_argument("--out", required=True, help="folder for the model and its validation")
    train.add_argument(
        "--truth", help="CSV with field, label and class (or state); left out, the wells' treatment stands in"
    )
    train.add_argument(
        "--unidentified", choices=("unlabelled", "class"), default="unlabelled", help="what such cells are"
    )
    train.add_argument("--trees", type=int, default=120, help="rounds of boosting")
    train.add_argument("--seed", type=int, default=0, help="any whole number from 0")
    predict = tasks.add_parser("predict", help="tell the state of other cells", formatter_class=kind)
    predict.add_argument("cells", metavar="CELLS", help="cells.csv of cellular measure")
    predict.add_argument("--model", required=True, help="model.skops of classify train")
    predict.add_argument("--out", required=True, help="folder for cells.csv with states, and explanations.csv")
    predict.add_argument("--top", type=int, default=3, help="features that explain each cell; 0 for none")


def run(args: argparse.Namespace) -> int | None:
    """Train or predict, and print how well it went."""
    return _train(args) if args.task == "train" else _predict(args)


def _train(args: argparse.Namespace) -> None:
    from cellular.autophagy.classify import ClassifySettings
    from cellular.workflows.states import TREATMENT_CAVEAT, train_state

    settings = ClassifySettings(unidentified=args.unidentified, trees=args.trees, seed=args.seed)
    trained = train_state(args.cells, args.out, args.truth, settings)
    result = trained.validation
    print(result.wells.to_string(index=False, float_format="{:.3f}".format))
    print(f"wells never seen: balanced accuracy {result.balanced_accuracy:.3f}, accuracy {result.accuracy:.3f},")
    print(f"AUC per cell {result.auc:.3f}, AUC per field {result.field_auc:.3f}, Brier score {result.brier:.3f}")
    print(result.confusion_all.to_string())
    if not args.truth:
        print(TREATMENT_CAVEAT)
    print(f"model: {trained.model}")


def _predict(args: argparse.Namespace) -> None:
    from cellular.workflows.states import predict_state

    cells = predict_state(args.cells, args.model, args.out, top=args.top)
    print(f"{len(cells)} cells: " + ", ".join(f"{n} {state}" for state, n in cells["state"].value_counts().items()))
