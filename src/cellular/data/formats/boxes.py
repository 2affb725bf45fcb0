"""Cells of which only a box is known."""

from cellular.errors import InputError
from cellular.labels.cells import CellMask
from cellular.labels.outlines import ellipse_in, fill


def from_box(x0: float, y0: float, width: float, height: float, shape: tuple[int, int]) -> CellMask:
    """The ellipse inside a box (px): a box has no outline, and this is the likeliest one of a cell.

    Raises InputError for a box without area.
    """
    if not (width > 0 and height > 0):
        raise InputError(f"a box {width} px wide and {height} px high")
    return fill([ellipse_in(x0, y0, width, height)], shape)
