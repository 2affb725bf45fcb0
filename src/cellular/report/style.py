"""The look of every figure: colours that colour-blind readers can tell apart, and one way to save."""

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from cellular.files import whole_file, write_csv

# names of files, wells and treatments are drawn as they are: no $ in them begins a formula
plt.rcParams["text.parse_math"] = False
# text of an SVG stays text, to be searched and edited; the same figure is the same file
plt.rcParams["svg.fonttype"], plt.rcParams["svg.hashsalt"] = "none", "cellular"
plt.rcParams["font.family"] = ["DejaVu Sans", "sans-serif"]

# Okabe and Ito's palette (jfly.uni-koeln.de/color), which stays distinct under all common colour blindness, but for its
# black: seven colours go with eight shapes, so that a colour that comes back has another shape.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
# Besides colour, every unit and treatment has its marker: the figures survive a grey printer.
MARKERS = ("o", "s", "^", "D", "v", "h", "*", "P")
TREATMENT_COLOURS = {"fed": "#0072B2", "starved": "#D55E00"}


def treatment_colours(treatments: Sequence[str]) -> dict[str, str]:
    """A fixed colour for fed and starved, and the palette's others, again and again, for any others."""
    fixed = {TREATMENT_COLOURS[name] for name in treatments if name in TREATMENT_COLOURS}
    free = cycle(colour for colour in PALETTE if colour not in fixed)
    return {name: TREATMENT_COLOURS.get(name) or next(free) for name in treatments}


def treatment_looks(
    drawn: Sequence[str], page: Sequence[str] = (), markers: Sequence[str] = MARKERS
) -> dict[str, tuple[str, str]]:
    """Colour and marker of each treatment: by its place in those of the `page`, so that all its figures agree.

    >>> treatment_looks(["EBSS"], ["DMSO", "EBSS"])["EBSS"] == treatment_looks(["DMSO", "EBSS"])["EBSS"]
    True
    """
    every = list(dict.fromkeys([*page, *drawn]))
    colours = treatment_colours(every)
    return {name: (colours[name], markers[k % len(markers)]) for k, name in enumerate(every)}


def unit_looks(units: Sequence[str], markers: Sequence[str] = MARKERS) -> dict[str, tuple[str, str]]:
    """Colour and marker of each well or replicate."""
    return {name: (PALETTE[k % len(PALETTE)], markers[k % len(markers)]) for k, name in enumerate(units)}


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
