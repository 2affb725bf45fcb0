"""How many outline pixels lie where they should."""

import numpy as np

from cellular.jit import njit


def boundary_counts(
    truth: np.ndarray, prediction: np.ndarray, tolerance: float, ignore: np.ndarray | None = None
) -> tuple[int, int, int, int]:
    """Outline pixels of two label images (Y, X) that lie within `tolerance` px of one of the other's.

    An outline pixel belongs to a cell and touches (by an edge) another label or the background; the image's border
    makes none. Those in ignored pixels are left out.

    Returns
    -------
    Predicted outline pixels near a true one, predicted ones, true ones near a predicted one, true ones.
    """
    outlines = [_outline(np.ascontiguousarray(labels)) for labels in (prediction, truth)]
    if ignore is not None:
        for outline in outlines:
            outline[ignore > 0] = False
    reach = int(tolerance)
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.argwhere(dy**2 + dx**2 <= tolerance**2) - reach
    disc = disc[np.argsort((disc**2).sum(axis=1), kind="stable")]  # the likeliest neighbours first
    predicted, true = outlines
    return *_near(predicted, true, disc), *_near(true, predicted, disc)


@njit
def _outline(labels: np.ndarray) -> np.ndarray:
    height, width = labels.shape
    outline = np.zeros((height, width), np.bool_)
    for y in range(height):
        for x in range(width):
            own = labels[y, x]
            if own != 0:
                outline[y, x] = (
                    (y > 0 and labels[y - 1, x] != own)
                    or (y + 1 < height and labels[y + 1, x] != own)
                    or (x > 0 and labels[y, x - 1] != own)
                    or (x + 1 < width and labels[y, x + 1] != own)
                )
    return outline


@njit
def _near(own: np.ndarray, other: np.ndarray, disc: np.ndarray) -> tuple[int, int]:
    height, width = own.shape
    near, total = 0, 0
    for y in range(height):
        for x in range(width):
            if own[y, x]:
                total += 1
                for k in range(len(disc)):
                    v, u = y + disc[k, 0], x + disc[k, 1]
                    if 0 <= v < height and 0 <= u < width and other[v, u]:
                        near += 1
                        break
    return near, total
