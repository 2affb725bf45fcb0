"""How a training run went."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from cellular.errors import import_extra
from cellular.files import read_csv, read_json
from cellular.report.style import PALETTE, save

LOG, RUN = "log.csv", "run.json"


def draw_loss(folder: str | Path) -> Path:
    """Draw ``loss.svg`` from the experiment's ``log.csv``; returns its path."""
    folder = Path(folder)
    log = read_csv(folder / LOG)
    valid = log.dropna(subset="valid_loss")
    figure, axes = plt.subplots(figsize=(5, 3.4))
    axes.plot(log["epoch"], log["train_loss"], color=PALETTE[0], label="training", linewidth=1.2)
    if len(valid):
        axes.plot(valid["epoch"], valid["valid_loss"], "o-", color=PALETTE[1], label="validation", markersize=3)
        best = valid.loc[valid["valid_loss"].idxmin()]
        axes.annotate(
            f"best {best['valid_loss']:.3f}\nepoch {int(best['epoch'])}",
            (best["epoch"], best["valid_loss"]),
            xytext=(0, 22),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            arrowprops={"arrowstyle": "-", "color": PALETTE[1]},
        )
    axes.set(xlabel="epoch", ylabel="loss", title=folder.name)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return save(figure, folder / "loss.svg", log[["epoch", "train_loss", "valid_loss"]])


@dataclass(frozen=True)
class Trackers:
    """Where the curve of a training is kept besides its folder, once it has ended.

    Attributes
    ----------
    tensorboard : in ``tensorboard/`` of the experiment.
    wandb : Weights & Biases project; WANDB_MODE=offline keeps it here. mlflow : MLflow experiment, at
        MLFLOW_TRACKING_URI, or here. None writes none.
    """

    tensorboard: bool = False
    wandb: str | None = None
    mlflow: str | None = None

    def require(self) -> None:
        """Raise MissingExtraError for a package that is asked for and not there: before training, not after."""
        for name in ("tensorboard", "wandb", "mlflow"):
            if getattr(self, name):
                import_extra(name, name)

    def write(self, folder: str | Path) -> None:
        """Write the experiment's ``log.csv`` and settings to each."""
        if self.tensorboard:
            write_tensorboard(folder)
        if self.wandb:
            write_wandb(folder, self.wandb)
        if self.mlflow:
            write_mlflow(folder, self.mlflow)


def write_tensorboard(folder: str | Path) -> None:
    """Write the experiment's ``log.csv`` as a TensorBoard log in ``tensorboard/``."""
    import_extra("tensorboard", "tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(Path(folder) / "tensorboard")) as writer:
        for epoch, values in _curve(folder):
            for name, value in values.items():
                writer.add_scalar(name, value, epoch)


def write_wandb(folder: str | Path, project: str) -> None:
    """Send the experiment's ``log.csv`` and settings to a Weights & Biases project, as a run of the folder's name."""
    wandb = import_extra("wandb", "wandb")
    settings = {"project": project, "name": Path(folder).name, "config": _settings(folder)}
    with wandb.init(dir=str(folder), **settings) as run:
        for epoch, values in _curve(folder):
            run.log(values, step=epoch)


def write_mlflow(folder: str | Path, experiment: str) -> None:
    """Send the experiment's ``log.csv`` and settings to an MLflow experiment, as a run of the folder's name."""
    mlflow = import_extra("mlflow", "mlflow")
    mlflow.set_experiment(experiment)
    with mlflow.start_run(run_name=Path(folder).name):
        mlflow.log_params(_settings(folder))
        for epoch, values in _curve(folder):
            mlflow.log_metrics(values, step=epoch)


def _curve(folder: str | Path) -> Iterator[tuple[int, dict[str, float]]]:
    """Every epoch and what is known of it."""
    for row in read_csv(Path(folder) / LOG).to_dict("records"):
        values = {name: row[name] for name in ("train_loss", "valid_loss", "learning_rate")}
        yield int(row["epoch"]), {name: value for name, value in values.items() if value == value}  # not NaN


def _settings(folder: str | Path) -> dict[str, Any]:
    settings: dict[str, Any] = read_json(Path(folder) / RUN)["settings"]
    return settings
