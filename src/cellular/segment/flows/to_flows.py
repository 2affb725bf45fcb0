"""Labels -> flows: for every pixel of a cell the direction toward the cell's centre."""

from typing import TYPE_CHECKING, Literal

import numpy as np

from cellular.errors import SettingsError
from cellular.segment.flows.numba.cells import checked_labels, find_cells, largest_first, without_gaps
from cellular.segment.flows.numba.diffuse import flows_of_cells
from cellular.segment.threads import over_threads

if TYPE_CHECKING:
    import torch


def labels_to_flows(
    labels: np.ndarray,
    niter: int | None = None,
    method: Literal["fast", "cellpose"] = "fast",
    device: "str | torch.device | None" = None,
) -> np.ndarray:
    """Flows of a label image, equal to Cellpose's ``masks_to_flows`` on CPU within 1e-4, or to the last bit.

    Heat enters at the cell's pixel nearest to its mean position and spreads over the cell, nothing leaving through
    its border but what is lost there; the flows are the unit vectors of the gradient of the heat.

    Parameters
    ----------
    labels : (Y, X) integers, 0 = background; a cell may have holes, gaps in numbering or several pieces.
    niter : steps of diffusion; None takes twice the height plus width of each cell's box, as Cellpose does.
    method : "fast" works in single precision: within 1e-4 of Cellpose's, but for single pixels where the gradient is no
        more than rounding, such as a cell's centre. "cellpose" equals Cellpose to the last bit, several times slower.
        On a GPU both are one, in double precision.
    device : None or "cpu" runs numba on all cores, "cuda" or "cuda:N" torch there, "auto" chooses; "mps" is "cpu"
        here, having no double precision.

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
    if method not in ("fast", "cellpose"):
        raise SettingsError(f"Unknown method '{method}' of labels -> flows; use fast or cellpose")
    labels = without_gaps(checked_labels(labels))
    if gpu := cuda_device(device):
        return _on_gpu(labels, niter, gpu)
    flows = np.zeros((2, *labels.shape), np.float32)
    cells = find_cells(labels)
    steps = -1 if niter is None else int(niter)
    over_threads(flows_of_cells, largest_first(cells), labels, cells, steps, method == "cellpose", flows)
    return flows


def cuda_device(device: "str | torch.device | None") -> "torch.device | None":
    """The CUDA device that `device` asks for; None where the work is the CPU's (also for mps: no double precision)."""
    if device is None or str(device) == "cpu":
        return None
    from cellular.device import resolve_device

    resolved = resolve_device(str(device))
    return resolved if resolved.type == "cuda" else None


def _on_gpu(labels: np.ndarray, niter: int | None, device: "torch.device") -> np.ndarray:
    import torch

    from cellular.segment.flows.torch.to_flows import labels_to_flows_torch

    return labels_to_flows_torch(torch.from_numpy(labels.astype(np.int64)).to(device)[None], niter)[0].cpu().numpy()
