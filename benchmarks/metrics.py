"""Scores of one field: ours against scikit-learn, Cellpose and StarDist, on the same labels in the same run.

    python -m benchmarks.metrics [--repeats N] [--side PX]

The prediction is what flows -> labels makes of the field's noisy flows. Equality comes first: ours must give the
peers' numbers before any time is printed. scikit-learn runs here, Cellpose and StarDist in the peer's environment.
"""

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from statistics import median

import numpy as np
from sklearn.metrics import jaccard_score, precision_recall_fscore_support

from benchmarks.environment import HERE, PEER_PYTHON, ensure_peer
from benchmarks.fields import SIDE, load_field
from cellular.data.images import as_labels
from cellular.evaluate.overlap import overlap
from cellular.evaluate.scores import THRESHOLDS, FieldScores, Rates, rates, score_field
from cellular.segment import flows_to_labels

PIXEL_BAR, INSTANCE_BAR = 5e-3, 0.3  # seconds
PEER_TASKS = ("average_precision", "aggregated_jaccard", "matching")


def pixel_scores(truth: np.ndarray, prediction: np.ndarray) -> tuple[Rates, Rates]:
    """Rates of background and cell pixels, as :func:`score_field` takes them."""
    (tn, fp), (fn, tp) = overlap(truth, prediction).background
    return rates(tn, fn, fp), rates(tp, fp, fn)


def sklearn_scores(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """(2, 4): precision, recall, F1 and Jaccard of background and cell pixels, as the published script has them."""
    true, predicted = truth.ravel() > 0, prediction.ravel() > 0
    first = precision_recall_fscore_support(true, predicted)[:3]
    return np.array([*first, jaccard_score(true, predicted, average=None)]).T


def timed(work: Callable, repeats: int) -> tuple[float, object]:
    """Median seconds, after one call that is not counted (compilation), and the result."""
    result, seconds = work(), []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return median(seconds), result


def peer_scores(truth: np.ndarray, prediction: np.ndarray, repeats: int) -> dict[str, dict[str, np.ndarray]]:
    """What the peers say of the field, and their seconds, task by task."""
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "input.npz", labels=truth, prediction=prediction, thresholds=THRESHOLDS)
        command = [PEER_PYTHON, "-W", "ignore", HERE / "peer.py", folder, str(repeats), "cpu", *PEER_TASKS]
        subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
        return {task: dict(np.load(Path(folder) / f"{task}.npz")) for task in PEER_TASKS}


def check(pixels: tuple[Rates, Rates], sklearn: np.ndarray, scores: FieldScores, peers: dict) -> None:
    """Stop where a number is not the peer's."""
    intersection, union = scores.aji_cellpose_counts
    instances = [scores.instance(threshold) for threshold in THRESHOLDS]
    comparisons = {
        "pixel scores (scikit-learn)": ([astuple(p) for p in pixels], sklearn),
        "average precision (Cellpose)": ([i.jaccard for i in instances], peers["average_precision"]["ap"]),
        "true positives (StarDist)": (scores.tp, peers["matching"]["tp"]),
        "F1 (StarDist)": ([i.f1 for i in instances], peers["matching"]["f1"]),
        "panoptic quality (StarDist)": (scores.panoptic()["pq"], peers["matching"]["panoptic_quality"][0]),
        "aggregated Jaccard (Cellpose)": (intersection / union, peers["aggregated_jaccard"]["aji"]),
    }
    for name, (ours, theirs) in comparisons.items():
        if not np.allclose(ours, theirs, rtol=1e-5, atol=0):
            raise SystemExit(f"{name}: ours {ours}, theirs {theirs}; no timing is worth anything")


def main(argv: list[str] | None = None) -> None:
    """Compare, then print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--side", type=int, default=SIDE)
    args = parser.parse_args(argv)
    ensure_peer()
    field = load_field(args.side)
    truth = np.unique(field.labels, return_inverse=True)[1].reshape(field.labels.shape)  # Cellpose wants no gaps
    truth = as_labels(truth)
    prediction = flows_to_labels(field.flows, field.cell_probability)
    ours, pixels = timed(lambda: pixel_scores(truth, prediction), args.repeats)
    sklearn, expected = timed(lambda: sklearn_scores(truth, prediction), args.repeats)
    every, scores = timed(lambda: score_field(truth, prediction), args.repeats)
    peers = peer_scores(truth, prediction, args.repeats)
    check(pixels, expected, scores, peers)
    seconds = {task: float(np.median(result["seconds"])) for task, result in peers.items()}
    print(f"{field.source}: {scores.n_true} cells, {scores.n_predicted} predicted; all numbers equal the peers'")
    print(line("pixel scores, ours", ours, PIXEL_BAR))
    print(line("pixel scores, scikit-learn", sklearn), f"{sklearn / ours:.0f}x")
    print(line("all scores, ours (pixels, AP at ten thresholds, PQ, AJI twice, boundary)", every, INSTANCE_BAR))
    print(line("AP at ten thresholds, Cellpose", seconds["average_precision"]))
    print(line("AJI, Cellpose", seconds["aggregated_jaccard"]))
    print(line("AP, F1 and PQ at ten thresholds, StarDist", seconds["matching"]))
    together = seconds["average_precision"] + seconds["aggregated_jaccard"]
    print(f"all of ours against Cellpose's AP and AJI alone: {together / every:.1f}x")


def line(name: str, seconds: float, bar: float | None = None) -> str:
    met = f"  bar {1e3 * bar:.0f} ms: {'met' if seconds <= bar else 'missed'}" if bar else ""
    return f"{name:76} {1e3 * seconds:8.1f} ms{met}"


if __name__ == "__main__":
    main()
