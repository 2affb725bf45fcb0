"""Compare simulated fields with real ones: one side-by-side picture and one table.

    python recipes/simulation_check.py REAL_DIR SIM_DIR OUT

REAL_DIR and SIM_DIR hold ``images-color/<field>.jpg`` and either ``boxes/<field>.txt`` (YOLO fractions
``x_center y_center width height``, a line per cell) or ``masks/<field>/<class>/*.png``. Give SIM_DIR full-size fields
(`cellular simulate SIM_DIR --fields 6`). Writes OUT/simulation_check.jpg, .csv and .md, and the histograms of box area
and grey levels as OUT/simulation_histograms.png. Every figure of the table is the median over fields of the field's
own value. OUT/simulation_truth.jpg shows the outlines of a simulated field by class.
"""

import argparse
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from cellular.data.fields import parse_field
from cellular.data.formats.images import read_image
from cellular.data.masks.mask_png import read_mask
from cellular.data.platemap import cellular_treatment
from cellular.files import whole_file, write_csv

matplotlib.use("Agg")
import matplotlib.pyplot as plt

CHANNELS = ("red", "green", "blue")
PERCENTILES = (1, 25, 50, 75, 95, 99)
ZOOM_PX = 600
AREA = "box area (px)"
BINS = {AREA: np.linspace(0, 60_000, 61)} | {channel: np.arange(257) for channel in CHANNELS}


def boxes_of(folder: Path, field: str, shape: tuple[int, int]) -> np.ndarray:
    """(N, 4) boxes y, x (centres), height, width in px."""
    listed = folder / "boxes" / f"{field}.txt"
    if listed.is_file():
        x, y, width, height = np.loadtxt(listed, ndmin=2).T
        return np.stack([y * shape[0], x * shape[1], height * shape[0], width * shape[1]], axis=1)
    masks = [read_mask(path) for path in sorted((folder / "masks" / field).rglob("*.png"))]
    return np.array([(m.y + m.pixels.shape[0] / 2, m.x + m.pixels.shape[1] / 2, *m.pixels.shape) for m in masks])


def statistics_of(image: np.ndarray, boxes: np.ndarray) -> dict[str, float]:
    """Figures of one field: its cells' boxes and its composite's grey levels."""
    boxes = boxes[(boxes[:, 2:] > 0).all(axis=1)]
    side = np.sqrt(boxes[:, 2] * boxes[:, 3])
    aspect = boxes[:, 2] / boxes[:, 3]
    nearest = cKDTree(boxes[:, :2]).query(boxes[:, :2], k=2)[0][:, 1]
    values = {"cells": float(len(boxes)), "box side, mean (px)": side.mean()}
    values |= {f"box side, {q} % (px)": np.percentile(side, q) for q in (5, 25, 50, 75, 95)}
    values |= {f"box height / width, {q} %": np.percentile(aspect, q) for q in (5, 95)}
    values |= {f"nearest neighbour, {q} % (px)": np.percentile(nearest, q) for q in (5, 50, 95)}
    for channel, plane in zip(CHANNELS, np.moveaxis(image, -1, 0)):
        values |= {f"{channel}, {q} %": found for q, found in zip(PERCENTILES, np.percentile(plane, PERCENTILES))}
        values[f"{channel}, saturated share"] = (plane == 255).mean()
    values["blue, noise of the quietest tenth"] = noise_of(image[:, :, 2])
    return values


def noise_of(plane: np.ndarray, tile: int = 32) -> float:
    """Standard deviation of the fine structure (finer than a Gaussian of 1.5 px) in the quietest tenth of the tiles."""
    fine = plane - gaussian_filter(plane.astype(np.float32), 1.5)
    rows, columns = (n // tile for n in plane.shape)
    tiles = fine[: rows * tile, : columns * tile].reshape(rows, tile, columns, tile)
    return float(np.percentile(tiles.std(axis=(1, 3)), 10))


def measure(folder: Path, source: str) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """A row of statistics per field of `folder`, and histograms over all fields together, by the names of BINS."""
    rows = []
    histograms = {name: np.zeros(len(edges) - 1) for name, edges in BINS.items()}
    for path in sorted((folder / "images-color").glob("*.jpg")):
        image = read_image(path)
        treatment = cellular_treatment(parse_field(path.stem).well)
        boxes = boxes_of(folder, path.stem, image.shape[:2])
        rows.append({"source": source, "field": path.stem, "treatment": treatment} | statistics_of(image, boxes))
        histograms[AREA] += np.histogram(boxes[:, 2] * boxes[:, 3], BINS[AREA])[0]
        for channel, plane in zip(CHANNELS, np.moveaxis(image, -1, 0)):
            histograms[channel] += np.bincount(plane.ravel(), minlength=256)
    if not rows:
        raise SystemExit(f"{folder / 'images-color'} holds no .jpg fields")
    return pd.DataFrame(rows), histograms


def median_table(fields: pd.DataFrame) -> pd.DataFrame:
    """Statistics down, treatment and source across."""
    medians = fields.drop(columns="field").groupby(["treatment", "source"]).median().T
    medians.columns = [f"{treatment}, {source}" for treatment, source in medians.columns]
    return medians.rename_axis("statistic").reset_index()


def as_markdown(table: pd.DataFrame) -> str:
    """The table for docs, three figures a number."""
    lines = ["| " + " | ".join(table.columns) + " |", "|---" + "|--:" * (len(table.columns) - 1) + "|"]
    for row in table.itertuples(index=False):
        lines.append("| " + " | ".join([row[0], *(f"{value:.3g}" for value in row[1:])]) + " |")
    return "\n".join(lines) + "\n"


def draw(fields: pd.DataFrame, folders: dict[str, Path], path: Path) -> None:
    """Per treatment: a whole real and simulated field, and the same corner of each in colour and transmitted light."""
    treatments = sorted(fields["treatment"].unique())
    figure, axes = plt.subplots(2 * len(treatments), 3, figsize=(12, 8 * len(treatments)), squeeze=False)
    for i, treatment in enumerate(treatments):
        for j, (source, folder) in enumerate(folders.items()):
            chosen = fields[(fields["treatment"] == treatment) & (fields["source"] == source)].sort_values("cells")
            if chosen.empty:
                continue
            name = chosen["field"].iloc[len(chosen) // 2]
            image = read_image(folder / "images-color" / f"{name}.jpg")
            zoom = image[-ZOOM_PX:, :ZOOM_PX]
            row = axes[2 * i + j]
            row[0].imshow(image)
            row[1].imshow(zoom)
            row[2].imshow(zoom[:, :, 2], cmap="gray", vmin=20, vmax=120)
            row[0].set_title(f"{source}, {treatment}: {name}", fontsize=8)
            row[1].set_title(f"{ZOOM_PX} px of it", fontsize=8)
            row[2].set_title("blue (transmitted light)", fontsize=8)
    for axis in axes.flat:
        axis.axis("off")
    figure.tight_layout()
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=75, pil_kwargs={"quality": 80})
    plt.close(figure)


def draw_truth(folder: Path, path: Path) -> None:
    """A corner of the last field of `folder`, bare and with its cells' outlines: fed, unfed, Unidentified."""
    field = sorted((folder / "masks").iterdir())[-1]
    corner = read_image(folder / "images-color" / f"{field.name}.jpg")[:ZOOM_PX, :ZOOM_PX]
    figure, axes = plt.subplots(1, 2, figsize=(12, 6))
    for axis in axes:
        axis.imshow(corner)
        axis.axis("off")
    for name, colour in (("fed", "#56B4E9"), ("unfed", "#FFFFFF"), ("Unidentified", "#CC79A7")):
        for cell in map(read_mask, sorted((field / name).glob("*.png"))):
            padded = np.pad(cell.pixels, 1)
            rows, columns = (start - 1 + np.arange(n) for start, n in zip((cell.y, cell.x), padded.shape))
            axes[1].contour(columns, rows, padded, levels=[0.5], colors=colour, linewidths=1)
    axes[1].set(xlim=(0, ZOOM_PX), ylim=(ZOOM_PX, 0))
    figure.tight_layout()
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=75, pil_kwargs={"quality": 85})
    plt.close(figure)


def draw_histograms(histograms: dict[str, dict[str, np.ndarray]], path: Path) -> None:
    """Real and simulated histograms over one another, as shares of cells or pixels."""
    figure, axes = plt.subplots(1, len(BINS), figsize=(12, 2.8))
    for axis, (name, edges) in zip(axes, BINS.items()):
        for source, colour in (("real", "#0072B2"), ("simulated", "#D55E00")):
            counts = histograms[source][name]
            axis.stairs(counts / counts.sum(), edges, label=source, color=colour)
        axis.set_xlabel(name if name not in CHANNELS else f"{name}, grey level")
        if name in CHANNELS:
            axis.set_yscale("log")
            axis.yaxis.set_major_formatter("{x:g}")
    axes[0].set_ylabel("share")
    axes[0].legend()
    figure.tight_layout()
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=75)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("real", type=Path, metavar="REAL_DIR")
    parser.add_argument("simulated", type=Path, metavar="SIM_DIR")
    parser.add_argument("out", type=Path, metavar="OUT")
    args = parser.parse_args()
    folders = {"real": args.real, "simulated": args.simulated}
    measured = {source: measure(folder, source) for source, folder in folders.items()}
    fields = pd.concat([table for table, _ in measured.values()], ignore_index=True)
    table = median_table(fields)
    write_csv(args.out / "simulation_check.csv", table)
    with whole_file(args.out / "simulation_check.md") as temporary:
        temporary.write_text(as_markdown(table), encoding="utf-8")
    draw(fields, folders, args.out / "simulation_check.jpg")
    draw_truth(args.simulated, args.out / "simulation_truth.jpg")
    pooled = {source: histograms for source, (_, histograms) in measured.items()}
    draw_histograms(pooled, args.out / "simulation_histograms.png")
    print(as_markdown(table))


if __name__ == "__main__":
    main()
