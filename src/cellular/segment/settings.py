"""How to segment."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from cellular.errors import SettingsError

# torch is imported where a network is needed, and not by what only reads settings
if TYPE_CHECKING:
    from cellular.segment.segmenter import Segmenter

NUCLEI = "nuclei"
Tiling = Literal["whole", "cellpose"]
# What a network's convolutions are computed in.
Precision = Literal["auto", "float32", "bfloat16"]
# The network works at its own scale; a diameter outside these bounds (px) is a typing error or asks for terabytes.
DIAMETER_BOUNDS = (1.0, 2000.0)
# Largest side (px) of an image that is segmented in one piece; a 4096 px one takes some 3 GB.
WINDOW = 4096


@dataclass(frozen=True)
class SegmentSettings:
    """How to segment; None leaves the choice to the model (see :meth:`Segmenter.segment`).

    Attributes
    ----------
    diameter : px, or "auto" to estimate it image by image. channels : 1-based, 0 = grey. flow_threshold,
    cellprob_threshold, min_size (px), niter, augment, resample, tiling, invert, window (px), precision : as
    in :meth:`Segmenter.segment`. seeds : "nuclei" parts cells that hold several (see
    :func:`cellular.segment.seeds.part_by_nuclei`), where DNA is imaged; None leaves the network's cells as they are.
    """

    diameter: float | Literal["auto"] | None = None
    channels: tuple[int, ...] | None = None
    flow_threshold: float | None = None
    cellprob_threshold: float | None = None
    min_size: int = 15
    niter: int | None = None
    augment: bool | None = None
    resample: bool | None = None
    tiling: Tiling = "whole"
    invert: bool = False
    window: int = WINDOW
    seeds: str | None = None
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        # Before any folder is claimed for these settings: a typing error must not block it.
        check_sizes(self.diameter, self.window)
        if self.tiling not in get_args(Tiling):
            raise SettingsError(f"tiling is one of {', '.join(get_args(Tiling))}, got {self.tiling!r}")
        if self.seeds not in (None, NUCLEI):
            raise SettingsError(f"seeds is {NUCLEI!r} or None, got {self.seeds!r}")
        if self.precision not in get_args(Precision):
            raise SettingsError(f"precision is one of {', '.join(get_args(Precision))}, got {self.precision!r}")
        for name in ("flow_threshold", "cellprob_threshold"):
            value = getattr(self, name)
            if value is not None and not np.isfinite(value):
                raise SettingsError(f"{name} is a finite number, got {value}")
        if self.niter is not None and self.niter < 0:
            raise SettingsError(f"niter is a number of steps, 0 or more, got {self.niter}")

    def settled(self, segmenter: "Segmenter") -> "SegmentSettings":
        """With what the machine decides decided, once for a run, for all who work at it, and for its record."""
        return replace(self, precision=segmenter.precision(self.precision, self.tiling))


def check_sizes(diameter: float | Literal["auto"] | None, window: int) -> None:
    """Raise SettingsError for a diameter (px, "auto" or None) or a window (px) that cannot be meant."""
    low, high = DIAMETER_BOUNDS
    if diameter not in (None, "auto") and (isinstance(diameter, str) or not low <= diameter <= high):
        raise SettingsError(f"diameter is in pixels, {low} to {high}, or auto, got {diameter}")
    if window < 1:
        raise SettingsError(f"window is a side in pixels, 1 or more, got {window}")
