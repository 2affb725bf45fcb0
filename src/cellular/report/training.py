"""How a training run went."""

from pathlib import Path

import matplotlib.pyplot as plt

from cellular.errors import import_extra
from cellular.files import read_csv
from cellular.report.style import PALETTE, save

LOG = "log.csv"


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


def write_tensorboard(folder: str | Path) -> None:
    """Write the experiment's ``log.csv`` as a TensorBoard log in ``tensorboard/``."""
    import_extra("tensorboard", "tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    log = read_csv(Path(folder) / LOG)
    with SummaryWriter(str(Path(folder) / "tensorboard")) as writer:
        for row in log.to_dict("records"):
            for name in ("train_loss", "valid_loss", "learning_rate"):
                if row[name] == row[name]:  # not NaN
                    writer.add_scalar(name, row[name], int(row["epoch"]))
