"""Write tests/segment/fixtures/cellpose_flows.npz: what Cellpose 3.1.1.3 makes of a small label image.

Run it in the peer's environment: ``benchmarks/.venv-peer/bin/python benchmarks/make_flow_fixtures.py``.
Holds the label image (one cell with a hole, one in two pieces, one of a single pixel, cells at the border), its
flows by ``masks_to_flows``, a noisy field of flows and cell probability, and the labels Cellpose finds in it.
"""

from pathlib import Path

import numpy as np
from cellpose import dynamics
from scipy.ndimage import gaussian_filter

TARGET = Path(__file__).parent.parent / "tests" / "segment" / "fixtures" / "cellpose_flows.npz"
SIDE = 96
NITERS = (0, 37, 200)


def make_labels(rng: np.random.Generator) -> np.ndarray:
    """Superellipses (SIDE, SIDE) uint16, then the odd ones: a hole, a split cell, a single pixel, a thin line."""
    labels = np.zeros((SIDE, SIDE), np.uint16)
    y, x = np.mgrid[:SIDE, :SIDE]
    for k in range(1, 15):
        centre_y, centre_x = rng.uniform(0, SIDE, 2)
        radius_y, radius_x = rng.uniform(5, 16, 2)
        inside = np.abs((y - centre_y) / radius_y) ** 2.5 + np.abs((x - centre_x) / radius_x) ** 2.5 <= 1
        labels[inside & (labels == 0)] = k
    cells = np.argsort(-np.bincount(labels.ravel(), minlength=15)[1:]) + 1
    hole_y, hole_x = np.argwhere(labels == cells[0]).mean(0).astype(int)
    labels[hole_y - 1 : hole_y + 2, hole_x - 2 : hole_x + 1] = 0
    split = int(np.argwhere(labels == cells[1])[:, 0].mean())
    labels[split, labels[split] == cells[1]] = 0
    free = np.argwhere(labels == 0)
    labels[tuple(free[0])] = 20
    labels[-1, :9] = 21
    return labels


def main() -> None:
    rng = np.random.default_rng(3)
    labels = make_labels(rng)
    unit = dynamics.masks_to_flows(labels.astype(np.int64)).astype(np.float32)
    noise = np.stack([gaussian_filter(rng.normal(size=labels.shape), 3) for _ in range(2)])
    flows = np.stack([gaussian_filter(c, 1) for c in 5 * unit + 1.5 * noise / noise.std()])
    flows = flows.astype(np.float16).astype(np.float32)
    probability = gaussian_filter(np.where(labels > 0, 4.0, -4.0), 1) + rng.normal(size=labels.shape)
    probability = probability.astype(np.float16).astype(np.float32)
    found = [
        dynamics.resize_and_compute_masks(flows.copy(), probability, niter=n, flow_threshold=0.0, min_size=1)
        for n in NITERS
    ]
    checked = dynamics.resize_and_compute_masks(flows.copy(), probability, niter=200, min_size=-1)
    np.savez_compressed(
        TARGET,
        labels=labels,
        unit_flows=unit,
        flows=flows.astype(np.float16),
        cell_probability=probability.astype(np.float16),
        niters=np.array(NITERS),
        unchecked=np.stack(found).astype(np.uint16),
        checked=checked.astype(np.uint16),
    )
    print(f"{TARGET}: {[m.max() for m in found]} cells unchecked, {len(np.unique(checked)) - 1} after the flow check")


if __name__ == "__main__":
    main()
