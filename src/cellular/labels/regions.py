"""Pixels sorted by cell, so that every cell's sum, median or maximum comes from one pass."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Regions:
    """The pixels of each cell of a label image.

    Attributes
    ----------
    labels : (N,) the labels that occur, ascending.
    runs : (R, 3) row, first and last column of each run of pixels along a row, cell after cell.
    first_runs : (N,) where each cell begins in `runs`.
    pixels : (P,) flat indices of all cell pixels, cell after cell.
    starts : (N,) where each cell begins in `pixels`.
    shape : (Y, X) of the image.
    """

    labels: np.ndarray
    runs: np.ndarray
    first_runs: np.ndarray
    pixels: np.ndarray
    starts: np.ndarray
    shape: tuple[int, int]

    @classmethod
    def of(cls, labels: np.ndarray) -> "Regions":
        """Sort the pixels of a label image (Y, X): run by run, for there are a hundred times fewer of these."""
        begins = np.ones(labels.shape, bool)
        np.not_equal(labels[:, 1:], labels[:, :-1], out=begins[:, 1:])
        begin = np.flatnonzero(begins)
        owner, length = labels.ravel()[begin], np.diff(begin, append=labels.size)
        order = np.argsort(owner, kind="stable")
        order = order[np.count_nonzero(owner == 0) :]
        begin, length = begin[order], length[order]
        found, first_runs = np.unique(owner[order], return_index=True)
        before = np.cumsum(length) - length
        pixels = np.repeat(begin - before, length) + np.arange(length.sum())
        row, column = np.divmod(begin, labels.shape[1])
        runs = np.stack([row, column, column + length - 1], axis=1)
        return cls(found.astype(np.int64), runs, first_runs, pixels, before[first_runs], labels.shape)

    @property
    def area(self) -> np.ndarray:
        """(N,) pixels per cell."""
        return np.diff(np.append(self.starts, self.pixels.size))

    def values(self, image: np.ndarray) -> np.ndarray:
        """(P,) float64 of an image (Y, X), cell after cell."""
        return image.ravel()[self.pixels].astype(np.float64)

    def pieces(self, image: np.ndarray) -> list[np.ndarray]:
        """The pixels (n,) of each cell of an image (Y, X), in its dtype."""
        return np.split(image.ravel()[self.pixels], self.starts[1:]) if self.starts.size else []

    def sum(self, values: np.ndarray) -> np.ndarray:
        """(N,) float64 sum of sorted values (P,) over each cell."""
        return np.add.reduceat(values, self.starts, dtype=np.float64) if self.starts.size else np.empty(0)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """(N,) mean over each cell."""
        return self.sum(values) / self.area

    def spread(self, per_cell: np.ndarray) -> np.ndarray:
        """(P,) each cell's value repeated for its pixels."""
        return np.repeat(per_cell, self.area)

    def holders(self, cells: np.ndarray) -> np.ndarray:
        """(N,) int64: the cell of label image `cells` (Y, X) that holds more than half of each region; 0 for none."""
        if not self.labels.size:
            return np.zeros(0, np.int64)
        index = self.spread(np.arange(self.labels.size))
        pairs, counts = np.unique(np.stack([index, cells.ravel()[self.pixels]]), axis=1, return_counts=True)
        holder = np.zeros(self.labels.size, np.int64)
        inside = (pairs[1] > 0) & (2 * counts > self.area[pairs[0]])
        holder[pairs[0][inside]] = pairs[1][inside]
        return holder
