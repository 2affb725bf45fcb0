"""Labels -> flows: for every pixel of a cell the direction toward the cell's centre."""

from typing import Literal

import numpy as np

from cellular.errors import SettingsError
from cellular.segment._cells import checked_labels, find_cells, without_gaps
from cellular.segment._diffuse import exact_flows
from cellular.segment._threads import over_threads


def labels_to_flows(
    labels: np.ndarray,
    niter: int | None = None,
    method: Literal["exact", "fast"] = "exact",
    device: str | None = None,
) -> np.ndarray:
    """Flows of a label image, equal to Cellpose's ``masks_to_flows`` on CPU.

    Heat enters at the cell's pixel nearest to its mean position and spreads over the cell, nothing leaving through
    its border but what is lost there; the flows are the unit vectors of the gradient of the heat.

    Parameters
    ----------
    labels : (Y, X) integers, 0 = background; a cell may have holes, gaps in numbering or several pieces.
    niter : steps of diffusion; None takes twice the height plus width of each cell's box, as Cellpose does.
    method : "exact", the definition to the last bit, or "fast".
    device : None or "cpu" runs numba on all cores; "cuda" runs torch there.

    Returns
    -------
    (2, Y, X) float32, unit vectors (dy, dx) toward the centre; 0 in the background.

    Raises
    ------
    InputError : `labels` is not a label image.
    SettingsError : `niter` is negative or `method` unknown.

    References
    ----------
    Stringer et al., Cellpose: a generalist algorithm for cellular segmentation, Nature Methods 18 (2021), Methods,
    "Auxiliary vector flow representation".
    """
    if niter is not None and niter < 0:
        raise SettingsError(f"niter is a number of steps, 0 or more, got {niter}")
    labels = without_gaps(checked_labels(labels))
    flows = np.zeros((2, *labels.shape), np.float32)
    cells = find_cells(labels)
    largest_first = np.argsort(-cells.area, kind="stable")[: np.count_nonzero(cells.area)]
    over_threads(exact_flows, largest_first, labels, cells, -1 if niter is None else int(niter), flows)
    return flows
