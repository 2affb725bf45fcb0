"""What somebody said of cells, as the outlines under it change: it stays with the cell it was said of, or goes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cellular.errors import InputError
from cellular.labels.edit import changed_cells, check_cells
from cellular.labels.regions import Regions

# A cell that was reshaped is the same one while its IoU with what was looked at is at least this.
SAME = 0.5


@dataclass(frozen=True)
class Said:
    """What was said of a cell.

    Attributes
    ----------
    word : what.
    pixels : (P,) flat indices of the cell when it was said, ascending.
    area, y, x : px, of the cell as it is now, its centroid with pixel centres at whole numbers.
    """

    word: str
    pixels: np.ndarray
    area: int
    y: float
    x: float


def check_say(labels: np.ndarray, said: Mapping[int, Said], cells: Sequence[int], word: str | None) -> None:
    """Raise InputError for no cell, one that is not in `labels` (Y, X), and where `word` was said of them already."""
    check_cells(labels, cells, 1)
    if all((said[cell].word if cell in said else None) == word for cell in cells):
        what = f"{word} was told by hand of these cells already" if word else "no state was told by hand of these cells"
        raise InputError(what)


def say(labels: np.ndarray, said: Mapping[int, Said], words: Mapping[int, str | None]) -> dict[int, Said]:
    """`said` of the cells of `labels` (Y, X) with `words` said of some; None takes back what was said of a cell."""
    kept = {cell: one for cell, one in said.items() if cell not in words}
    named = {cell: word for cell, word in words.items() if word is not None}
    if not named:
        return kept
    chosen = Regions.of(np.where(np.isin(labels, list(named)), labels, 0))
    pixels = np.split(chosen.pixels, chosen.starts[1:])
    return kept | {int(cell): _said(named[int(cell)], own, labels.shape[1]) for cell, own in zip(chosen.labels, pixels)}


def follow(
    said: Mapping[int, Said], before: np.ndarray, after: np.ndarray, merged: Sequence[int] = (), new: int = 0
) -> dict[int, Said]:
    """What is `said` of the cells of `before` (Y, X), of those of `after` (Y, X).

    A cell that was reshaped keeps it while it covers what was looked at (:data:`SAME`); one that is gone or parted does
    not. Cells that were `merged` into `new` hand it on where the same was said of every one of them.

    >>> before, after = np.array([[1, 1, 2, 2]]), np.array([[1, 1, 0, 2]])
    >>> told = say(before, {}, {1: "basal", 2: "basal"})
    >>> {cell: (one.word, one.area, one.x) for cell, one in follow(told, before, after).items()}
    {1: ('basal', 2, 0.5), 2: ('basal', 1, 3.0)}
    >>> sorted(follow(told, before, np.array([[1, 0, 0, 1]])))
    []
    """
    if not said:
        return {}
    touched = {cell for part in changed_cells(before, after) for cell in part}
    kept = {cell: one for cell, one in said.items() if cell not in touched}
    for cell in sorted(touched & said.keys()):
        was, now = said[cell], np.flatnonzero(after == cell)
        both = np.intersect1d(was.pixels, now, assume_unique=True).size
        if now.size and both >= SAME * (was.pixels.size + now.size - both):
            kept[cell] = _said(was.word, now, after.shape[1], was.pixels)
    words = {said[cell].word if cell in said else None for cell in merged}
    if len(words) == 1 and (word := words.pop()) is not None:
        kept[new] = _said(word, np.flatnonzero(after == new), after.shape[1])
    return kept


def _said(word: str, now: np.ndarray, width: int, looked_at: np.ndarray | None = None) -> Said:
    y, x = (float(round(axis.mean(), 6)) for axis in np.divmod(now, width))
    return Said(word, now if looked_at is None else looked_at, int(now.size), y, x)
