"""cellular train: fine-tune a Cellpose model."""

import argparse

from cellular.cli.arguments import add_corrections, add_z, annotated_fields, boolean
from cellular.cli.engines import size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--train_dir", "--train-dir", required=True, help="folder of images with <field>_masks beside them")
    add("--valid_dir", "--valid-dir", help="the same for validation; without it nothing is validated")
    add_corrections(parser, "the truth of corrected training fields; fields with no label image are left out")
    add_z(parser)
    add("--experiment_name", "--experiment-name", required=True, help="names the folder and the saved model")
    add("--experiments_dir", "--experiments-dir", default="./experiments", help="folder of all experiments")
    add("--model_type", "--model-type", default="cyto2", help="starter, cyto, cyto2, cyto3, scratch, or a model file")
    add("--n_epochs", "--n-epochs", type=int, default=500, help="passes over the training fields, a crop a field")
    add("--learning_rate", "--learning-rate", type=float, default=0.2, help="peak of the schedule")
    add("--weight_decay", "--weight-decay", type=float, default=1e-5, help="of the optimizer")
    add("--batch_size", "--batch-size", type=int, default=8, help="crops a step")
    add("--use_sgd", "--use-sgd", type=boolean, default=True, help="SGD; false takes RAdam")
    add("--optimizer", choices=("sgd", "radam", "adamw"), help="instead of --use_sgd")
    add("--schedule", choices=("cellpose", "cosine"), default="cellpose", help="learning rate over the epochs")
    add("--rescale", type=boolean, default=True, help="bring all fields to one cell diameter")
    add("--diameter", type=float, help="px; one for all fields instead of each field's own median")
    add("--channels", type=int, nargs="+", metavar="C", help="image channels, 0 = grey; left out, the model's")
    add("--width", type=int, default=32, help="first level's channels of a model from scratch; 16 suits a CPU")
    add("--diam_mean", "--diam-mean", type=float, default=30.0, help="px; diameter a model from scratch works at")
    add("--crop_size", "--crop-size", type=int, default=224, help="side of the crops, px")
    add("--fields_per_epoch", "--fields-per-epoch", type=int, help="crops a pass; left out, one a field")
    add("--min_train_masks", "--min-train-masks", type=int, default=5, help="fields with fewer cells are left out")
    add("--validate_every", "--validate-every", type=int, default=10, help="epochs; 0 never")
    add("--patience", type=int, default=0, help="validations without a better one before stopping; 0 never stops")
    add("--checkpoint_every", "--checkpoint-every", type=int, default=10, help="epochs between points to resume from")
    add("--ema", type=float, default=0.0, help="weight of the past in a running mean of the weights; 0 is off")
    add("--jitter", type=float, default=0.0, help="random gain and offset of each channel of a crop")
    add("--amp", choices=("auto", "on", "off"), default="auto", help="bfloat16: auto on a GPU alone, on also on a CPU")
    add("--seed", type=int, default=0, help="of everything random")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    add("--memory", metavar="SIZE", type=size, help="for the fields, such as 8GB; what goes beyond is read from disk")
    add("--tensorboard", action="store_true", help="write a TensorBoard log too (pip install 'cellular[tensorboard]')")
    add("--wandb", metavar="PROJECT", help="keep curve and settings in Weights & Biases too (cellular[wandb])")
    add("--mlflow", metavar="EXPERIMENT", help="keep curve and settings in MLflow too (cellular[mlflow])")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--resume", action="store_true", help="go on from the experiment's last checkpoint")
    what.add_argument("--force", action="store_true", help="delete the experiment of that name first")


def run(args: argparse.Namespace) -> None:
    from dataclasses import fields
    from math import isfinite

    from cellular.jobs.train import train
    from cellular.report.training import Trackers
    from cellular.train.parallel import first_process
    from cellular.train.settings import TrainSettings

    values = {f.name: getattr(args, f.name) for f in fields(TrainSettings) if hasattr(args, f.name)}
    values["optimizer"] = args.optimizer or ("sgd" if args.use_sgd else "radam")
    values["channels"] = tuple(args.channels) if args.channels else None
    settings = TrainSettings(**values)
    learn = annotated_fields(args.train_dir, args.z, args.corrections)
    held_out = args.valid_dir and annotated_fields(args.valid_dir, args.z)
    where = (learn, held_out, args.experiment_name, args.experiments_dir)
    how = {name: getattr(args, name) for name in ("resume", "force", "corrections", "memory")}
    how["trackers"] = Trackers(args.tensorboard, args.wandb, args.mlflow)
    result = train(*where, settings, **how)
    if not first_process():
        return
    validated = (
        f"best validation loss {result.best_loss:.4f}" if isfinite(result.best_loss) else "nothing was validated"
    )
    print(f"trained {result.epochs} epochs; {validated}")
    print(f"model {result.model}\nbest  {result.best}\ncurve {result.folder / 'loss.svg'}")
