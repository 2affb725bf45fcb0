"""Two models on the same fields: the difference of their scores and how sure it is."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cellular.errors import InputError
from cellular.evaluate.bootstrap import intervals
from cellular.evaluate.detection import average_precision
from cellular.evaluate.result import EvaluationResult
from cellular.evaluate.scores import summary


def paired_differences(first: EvaluationResult, second: EvaluationResult, names: Sequence[str]) -> pd.DataFrame:
    """`second` less `first`: ``score, first, second, difference, low, high``, a row for each of `names`.

    Both are resampled together, the same wells (or fields) in every draw: what is hard for both cancels out. Without
    intervals (fewer than three clusters) low and high are NaN. Raises InputError where their fields differ.
    """
    if [one.name for one in first.fields] != [one.name for one in second.fields]:
        raise InputError(f"{first.output_dir} and {second.output_dir} are scores of different fields: no difference")

    def of(result: EvaluationResult, weights: np.ndarray) -> dict[str, float]:
        drawn = [one for one, count in zip(result.fields, weights) for _ in range(int(count))]
        values = summary(drawn) | {"box.ap50": average_precision(result.detections, 0.5, weights)}
        return {name: values[name] for name in names}

    def difference(weights: np.ndarray) -> dict[str, float]:
        old, new = of(first, weights), of(second, weights)
        return {name: new[name] - old[name] for name in names}

    ends = intervals(difference, first.clusters)
    ones = np.ones(len(first.fields))
    old, new = of(first, ones), of(second, ones)
    rows = [(n, old[n], new[n], new[n] - old[n], *ends.get(n, (np.nan, np.nan))) for n in names]
    return pd.DataFrame(rows, columns=["score", "first", "second", "difference", "low", "high"])
