"""Pictures of plates: wells where they are, and what is known of them."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cellular.autophagy.compare.design import in_order
from cellular.autophagy.compare.plate_effects import grid_of
from cellular.autophagy.measure.documentation import axis_label
from cellular.data.wells import PLATE_SIZES, plate_size, row_letters, row_number, split_well
from cellular.files import number_order
from cellular.report.style import PALETTE

# More different entries than this cannot be told apart by colour.
_COLOURS = (*PALETTE, "#000000")


def plate_figure(fields: pd.DataFrame, map_columns: Sequence[str] = ()) -> Figure:
    """Every plate as its wells: how many fields each has, coloured by what the map says of it.

    Parameters
    ----------
    fields : a row a field with ``plate, well`` and the map's columns.
    map_columns : the first of them colours the wells, all of them are written in where there is room.
    """
    known = fields[fields["well"].notna()]
    plates = list(known.groupby(known["plate"].fillna(""), sort=True))
    rows, columns = PLATE_SIZES[plate_size(known["well"])]
    size = (max(4.0, 0.42 * columns + 1.2), max(2.4, 0.42 * rows + 1.0) * len(plates))
    figure, axes = plt.subplots(len(plates), 1, figsize=size, squeeze=False)
    colours = _colours(known[map_columns[0]]) if map_columns else {}
    if map_columns and not colours and (many := known[map_columns[0]].nunique()):
        figure.supxlabel(
            f"{map_columns[0]} has {many} entries, more than colours can tell apart: see fields.csv", fontsize=8
        )
    for axis, (name, part) in zip(axes[:, 0], plates):
        _draw_plate(axis, part, (rows, columns), map_columns[0] if map_columns else None, colours)
        axis.set_title(name or "plate", fontsize=9, loc="left")
    for entry, colour in colours.items():
        axes[0, 0].plot([], [], "o", color=colour, label=entry)
    if colours:
        axes[0, 0].legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=8)
    return figure


def _colours(values: pd.Series) -> dict[str, str]:
    entries = in_order(values.dropna().astype(str))
    return dict(zip(entries, _COLOURS)) if len(entries) <= len(_COLOURS) else {}


def _draw_plate(axis: Axes, part: pd.DataFrame, shape: tuple[int, int], column: str | None, colours: dict) -> None:
    rows, columns = shape
    grid = [(row, col) for row in range(1, rows + 1) for col in range(1, columns + 1)]
    axis.scatter([c for _, c in grid], [r for r, _ in grid], s=60, color="0.93", linewidths=0)
    for well, here in part.groupby("well"):
        letters, col = split_well(well)
        entry = str(here[column].iloc[0]) if column and pd.notna(here[column].iloc[0]) else None
        axis.scatter(col, row_number(letters), s=130, color=colours.get(entry, "0.6"), linewidths=0)
        axis.text(col, row_number(letters), str(len(here)), ha="center", va="center", fontsize=7, color="white")
    _label_wells(axis, shape)
    axis.set(xlim=(0.3, columns + 0.7), ylim=(rows + 0.7, 0.3), aspect="equal")


def _label_wells(axis: Axes, shape: tuple[int, int]) -> None:
    """Column numbers above and row letters beside; of large plates every second or fourth."""
    rows, columns = shape
    axis.set_xticks(np.arange(1, columns + 1, max(1, columns // 12)))
    shown = range(1, rows + 1, max(1, rows // 16))
    axis.set_yticks(shown, [row_letters(n) for n in shown])
    axis.tick_params(length=0, labelsize=7, labeltop=True, labelbottom=False)
    axis.spines[:].set_visible(False)


def heatmap(wells: pd.DataFrame, feature: str, values: str = "value") -> Figure:
    """Every plate with its wells coloured by a feature, on one scale; wells without a value are grey.

    Parameters
    ----------
    wells : :func:`cellular.autophagy.compare.plate_effects.well_means`, 6 to 1,536 wells a plate.
    values : the column that is drawn.

    The scale leaves out the outermost 2 % of the wells at either end, so that one of them does not own it.
    """
    here = wells[wells["feature"] == feature]
    plates = sorted(here.groupby("plate"), key=lambda plate: number_order(str(plate[0])))
    size = plate_size(here["well"])
    rows, columns = PLATE_SIZES[size]
    across = min(len(plates), 3 if columns <= 12 else 1)
    down = -(-len(plates) // across)
    wide, high = max(3.0, min(9.0, 0.3 * columns + 0.6)), max(1.8, min(6.5, 0.3 * rows + 0.7))
    figure, axes = plt.subplots(down, across, figsize=(wide * across + 1, high * down), squeeze=False)
    low, top = np.nanpercentile(here[values], [2, 98])
    colours = plt.get_cmap("viridis").with_extremes(bad="0.9")
    used, spare = axes.ravel()[: len(plates)], axes.ravel()[len(plates) :]
    for axis in spare:
        axis.remove()
    for axis, (name, part) in zip(used, plates):
        box = (0.5, columns + 0.5, rows + 0.5, 0.5)
        drawn = axis.imshow(grid_of(part, values, size), cmap=colours, vmin=low, vmax=top, extent=box)
        axis.set_title(name or "plate", fontsize=9, loc="left")
        _label_wells(axis, (rows, columns))
    figure.colorbar(drawn, ax=list(used), label=axis_label(feature), shrink=0.8, extend="both")
    return figure
