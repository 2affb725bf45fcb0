"""The look of every figure, with colours that colour-blind readers can tell apart, and one way to save."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from cellular.files import whole_file, write_csv
from cellular.report.colours import MARKERS, PALETTE, treatment_colours, treatment_looks, unit_looks

# names of files, wells and treatments are drawn as they are: no $ in them begins a formula
plt.rcParams["text.parse_math"] = False
# text of an SVG stays text, to be searched and edited; the same figure is the same file
plt.rcParams["svg.fonttype"], plt.rcParams["svg.hashsalt"] = "none", "cellular"
plt.rcParams["font.family"] = ["DejaVu Sans", "sans-serif"]

__all__ = ["MARKERS", "PALETTE", "save", "treatment_colours", "treatment_looks", "unit_looks"]


def save(figure: Figure, path: str | Path, data: pd.DataFrame) -> Path:
    """Write the figure as SVG to `path`, and what it shows as CSV beside it, each whole or not at all; close it."""
    path = Path(path)
    if path.suffix != ".svg":
        raise ValueError(f"{path.name}: figures are SVG")
    write_csv(path.with_suffix(".csv"), data)
    # "tight" finds the same box by drawing everything once more
    box = figure.get_tightbbox().padded(plt.rcParams["savefig.pad_inches"])
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=150, bbox_inches=box, metadata={"Date": None})
    plt.close(figure)
    return path
