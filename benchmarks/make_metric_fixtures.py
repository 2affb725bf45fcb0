"""Make tests/evaluate/fixtures/peers.json with cellpose==3.1.1.3 and stardist: run in the peer's environment.

    benchmarks/.venv-peer/bin/python benchmarks/make_metric_fixtures.py

What `cellpose.metrics` and `stardist.matching` say of random label images, which the test draws again by their seeds.
"""

import json
from pathlib import Path

import numpy as np
from cellpose import metrics
from stardist.matching import matching

OUT = Path(__file__).parent.parent / "tests" / "evaluate" / "fixtures" / "peers.json"
THRESHOLDS = [round(0.5 + 0.05 * k, 2) for k in range(10)]


def label_images(seed: int, cells: int = 40, shape: tuple[int, int] = (150, 180)) -> tuple[np.ndarray, np.ndarray]:
    """Truth of overlapping discs, and a prediction that moves, drops and adds some (the test has the same function)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    truth, prediction = np.zeros(shape, np.uint16), np.zeros(shape, np.uint16)
    for k in range(1, cells + 1):
        cy, cx, r = rng.integers(0, shape[0]), rng.integers(0, shape[1]), rng.integers(4, 14)
        dy, dx, dr = rng.integers(-3, 4, 3)
        if rng.random() < 0.9:
            truth[(y - cy) ** 2 + (x - cx) ** 2 <= r**2] = k
        if rng.random() < 0.9:
            prediction[(y - cy - dy) ** 2 + (x - cx - dx) ** 2 <= (r + dr) ** 2] = k
    return renumbered(truth), renumbered(prediction)


def renumbered(labels: np.ndarray) -> np.ndarray:
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.uint16)


def main() -> None:
    cases = []
    for seed in range(6):
        truth, prediction = label_images(seed)
        ap, tp, fp, fn = metrics.average_precision(truth, prediction, threshold=THRESHOLDS)
        at_half = matching(truth, prediction, thresh=0.5)
        cases.append(
            {
                "seed": seed,
                "cellpose_ap": ap.tolist(),
                "cellpose_tp": tp.tolist(),
                "cellpose_aji": float(metrics.aggregated_jaccard_index([truth], [prediction])[0]),
                "stardist": {
                    key: float(getattr(at_half, key))
                    for key in ("tp", "fp", "fn", "precision", "recall", "f1", "mean_matched_score", "panoptic_quality")
                },
            }
        )
    OUT.write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
