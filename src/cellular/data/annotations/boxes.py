"""Cells of which only a box is known."""

from cellular.data.mask_png import CellMask
from cellular.data.outlines import ellipse_in, fill
from cellular.errors import InputError


def from_box(x0: float, y0: float, width: float, height: float, shape: tuple[int, int]) -> CellMask:
    """The ellipse inside a box (px): a box has no outline, and this is the likeliest one of a cell."""
    if not (width > 0 and height > 0):
        raise InputError(f"a box {width} px wide and {height} px high")
    return fill([ellipse_in(x0, y0, width, height)], shape)
