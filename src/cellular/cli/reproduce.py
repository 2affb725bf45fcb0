"""cellular reproduce: run all experiments of the paper."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("masks", help="folder of per-field mask folders, or one holding it as 'masks'")
    add("out", help="folder for everything; run again, it goes on where it stopped")
    add("--images", metavar="DIR", help="the images; left out, images-color or images beside the masks")
    add("--models", nargs="+", default=["cyto", "cyto2"], metavar="M", help="names or files; scratch trains from noise")
    add("--epochs", type=int, default=500, help="of each training")
    add("--width", type=int, default=32, help="first level's channels, for scratch")
    add("--learning_rate", "--learning-rate", type=float, default=0.2, help="peak of the schedule")
    add("--crop_size", "--crop-size", type=int, default=224, help="side of the training crops, px")
    add("--seed", type=int, default=0, help="of everything random")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")


def run(args: argparse.Namespace) -> int:
    from cellular.cli.main import EXIT_PROBLEMS
    from cellular.jobs.models_table import as_markdown
    from cellular.jobs.reproduce import KEYS, ReproduceSettings, reproduce
    from cellular.train.settings import TrainSettings

    train = TrainSettings(
        n_epochs=args.epochs,
        width=args.width,
        learning_rate=args.learning_rate,
        crop_size=args.crop_size,
        seed=args.seed,
        device=args.device,
    )
    result = reproduce(args.masks, args.out, ReproduceSettings(tuple(args.models), args.images, train))
    print(as_markdown(result.table, KEYS))
    print(f"Tables and figures: {result.folder}")
    for problem in result.problems:
        print(f"problem: {problem}")
    return EXIT_PROBLEMS if result.problems else 0
