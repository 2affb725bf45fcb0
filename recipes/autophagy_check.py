"""How well does the readout meet simulated truth? Puncta, their kinds, red-only fraction, state, and how fast.

    python recipes/autophagy_check.py SIM_DIR OUT

SIM_DIR is a folder of `cellular simulate` with several wells. Measures it twice, from raw channels and from composites,
into OUT, and prints a table. Of composites, puncta that their saturation hides (`saturated` in the truth) do not count.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from cellular.autophagy.measure.counts import red_only_fraction
from cellular.autophagy.state.trees import validate
from cellular.autophagy.state.truth import add_truth
from cellular.files import read_csv
from cellular.jobs.measure import MeasureResult, measure

REACH_PX = 3


def match(found: pd.DataFrame, truth: pd.DataFrame) -> np.ndarray:
    """(M, 2) rows of `found` and `truth` paired one to one, nearest first, at most REACH_PX apart."""
    near = cKDTree(found[["y", "x"]]).sparse_distance_matrix(
        cKDTree(truth[["y", "x"]]), REACH_PX, output_type="ndarray"
    )
    used: tuple[set, set] = (set(), set())
    pairs = []
    for i, j, _ in near[np.argsort(near["v"])]:
        if i not in used[0] and j not in used[1]:
            used[0].add(i)
            used[1].add(j)
            pairs.append((i, j))
    return np.array(pairs, int).reshape(-1, 2)


def score(result: MeasureResult, truth: pd.DataFrame, states: pd.DataFrame) -> dict[str, float]:
    """The figures of one table row."""
    pairs = right = 0
    for field, found in result.puncta.groupby("field"):
        known = truth[truth["field"] == field]
        rows = match(found, known)
        pairs += len(rows)
        right += (found["kind"].to_numpy()[rows[:, 0]] == known["kind"].to_numpy()[rows[:, 1]]).sum()
    kinds = pd.crosstab([truth["field"], truth["cell"]], truth["kind"]).rename_axis(["field", "label"])
    true_fraction = pd.Series(red_only_fraction(kinds["red_only"], kinds["yellow"]), kinds.index, name="true")
    both = result.cells.join(true_fraction, on=["field", "label"])[["true", "red_only_fraction"]].dropna()
    return {
        "puncta": len(truth),
        "precision": pairs / len(result.puncta),
        "recall": pairs / len(truth),
        "kind accuracy": right / pairs,
        "red-only fraction r": both.corr().iloc[0, 1],
        "state balanced accuracy": validate(add_truth(result.cells, states)).balanced_accuracy,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("simulated", type=Path, metavar="SIM_DIR")
    parser.add_argument("out", type=Path, metavar="OUT")
    args = parser.parse_args()
    truth = read_csv(args.simulated / "truth" / "puncta.csv")
    states = read_csv(args.simulated / "truth" / "cells.csv")[["field", "label", "state"]]
    rows = {}
    for name, folder in (("raw", "images"), ("composite", "images-color")):
        start = time.perf_counter()
        result = measure(args.simulated / folder, args.simulated / "truth", args.out / name, overlays=0)
        seconds = time.perf_counter() - start
        seen = truth[~truth["saturated"]] if name == "composite" else truth
        rows[name] = {**score(result, seen, states), "seconds per field": seconds / len(result.images)}
    print(pd.DataFrame(rows).round(3).to_string())


if __name__ == "__main__":
    main()
