"""How often cells change between basal and activated autophagy, from one timepoint to the next.

States are told with doubt. Counted as they are told, every cell told wrongly once is two changes; so the changes
are learned together with the states, by a hidden Markov model.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cellular.jit import njit
from cellular.track.states import LEAST, STATES, between, check_columns, wilson

# A series is taken to have a state in which so many steps begin in all: less is what doubt leaves of none.
_FEWEST_STEPS = 0.5
# Shares are learned until none moves by more than this, or so often.
_STEADY, _MOST_ROUNDS = 1e-6, 5000


@dataclass(frozen=True)
class Transitions:
    """How states follow each other from one timepoint to the next.

    Attributes
    ----------
    counts : (2, 2) expected steps from row state to column state, in the order of :data:`STATES`.
    probability : (2, 2) counts over row sums, NaN for a state that nothing was in.
    low, high : (2, 2) 95 % interval. With two or more series it rests on how these differ (cells of one field share
        their field's fate; :func:`cellular.track.states.between`); with one it is Wilson's, which takes steps as
        independent and their states as known, and is therefore too narrow. NaN for a state that one of several series
        has.
    steps, tracks, series : what it rests on.
    method : ``"Wilson between series"`` or ``"Wilson"``.
    """

    counts: np.ndarray
    probability: np.ndarray
    low: np.ndarray
    high: np.ndarray
    steps: int
    tracks: int
    series: int
    method: str

    def table(self) -> pd.DataFrame:
        """One row per pair of states."""
        return pd.DataFrame(
            [
                {
                    "from": STATES[i],
                    "to": STATES[j],
                    "steps": self.counts[i, j],
                    "probability": self.probability[i, j],
                    "ci_low": self.low[i, j],
                    "ci_high": self.high[i, j],
                }
                for i in range(2)
                for j in range(2)
            ]
        )


def transitions(tracks: pd.DataFrame, *, step: int = 1, probability: str = "probability_activated") -> Transitions:
    """Transition matrix from consecutive timepoints of the same track.

    A track's states are a Markov chain that is seen through the classifier, whose odds are those of what it saw of a
    cell in either state. What share of a series begins activated, and how probable its steps are, is of the largest
    likelihood, by expectation and maximisation from equal ones (Baum and Welch; Rabiner, Proc IEEE 77, 257, 1989).
    An error that lasts, of a cell that looks activated throughout, is no change.

    Parameters
    ----------
    tracks : table with ``series, track, timepoint`` and the column `probability` of activation, 0..1, calibrated where
        both states are as frequent; rows without a probability, and skipped timepoints, break the chain.
    step : from one timepoint to the next (:func:`cellular.track.series.step_of`); two that are farther apart are no
        consecutive ones.
    """
    chains = _chains(tracks, probability, step)
    per_series = np.array([_steps(rows) for _, rows in chains.groupby("series")]).reshape(-1, 2, 2)
    per_series[per_series.sum(axis=2) < _FEWEST_STEPS] = 0
    counts, left = per_series.sum(axis=0), per_series.sum(axis=2, keepdims=True)
    several = len(per_series) > 1
    low, high = between(per_series, left) if several else wilson(_rows_to_one(counts), left.sum(axis=0))
    return Transitions(
        counts=counts,
        probability=_rows_to_one(counts),
        low=low,
        high=high,
        steps=len(chains) - chains["chain"].nunique(),
        tracks=len(chains[["series", "track"]].drop_duplicates()),
        series=len(per_series),
        method="Wilson between series" if several else "Wilson",
    )


def _chains(tracks: pd.DataFrame, probability: str, step: int) -> pd.DataFrame:
    """``series, track, chain, activated``: runs of two timepoints and more that follow each other, and their states."""
    check_columns(tracks, probability)
    known = tracks.dropna(subset=[probability]).sort_values(["series", "track", "timepoint"])
    before = known.groupby(["series", "track"])["timepoint"].shift()
    chain = (known["timepoint"] != before + step).cumsum()
    rows = known[["series", "track"]].assign(chain=chain, activated=known[probability].astype(np.float64))
    return rows[rows.groupby("chain")["chain"].transform("size") > 1]


def _steps(rows: pd.DataFrame) -> np.ndarray:
    """(2, 2) expected steps of the chains of one series."""
    first = np.flatnonzero(rows["chain"].to_numpy() != rows["chain"].shift().to_numpy())
    p = rows["activated"].to_numpy().clip(LEAST, 1 - LEAST)
    return _learned(np.column_stack([1 - p, p]), np.append(first, len(p)), _MOST_ROUNDS, _STEADY)


def _rows_to_one(counts: np.ndarray) -> np.ndarray:
    total = counts.sum(axis=-1, keepdims=True)
    return np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)


@njit
def _learned(seen: Any, first: Any, rounds: int, steady: float) -> Any:
    """Expected steps (2, 2) of chains, which begin at the rows `first` of `seen` (N, 2), how likely it is by state."""
    began, step = np.full(2, 0.5), np.full((2, 2), 0.5)
    ahead = np.empty(seen.shape)
    counts = np.zeros((2, 2))
    for _ in range(rounds):
        counts[:] = 0
        starts = np.zeros(2)
        for chain in range(len(first) - 1):
            for row in range(first[chain], first[chain + 1]):
                for state in range(2):
                    share = began[state]
                    if row > first[chain]:
                        share = ahead[row - 1, 0] * step[0, state] + ahead[row - 1, 1] * step[1, state]
                    ahead[row, state] = share * seen[row, state]
                ahead[row] /= ahead[row].sum()
            behind = np.ones(2)
            for row in range(first[chain + 1] - 1, first[chain], -1):
                both = np.empty((2, 2))
                for old in range(2):
                    for new in range(2):
                        both[old, new] = ahead[row - 1, old] * step[old, new] * seen[row, new] * behind[new]
                both /= both.sum()
                counts += both
                coming = seen[row] * behind
                for old in range(2):
                    behind[old] = (step[old] * coming).sum()
                behind /= behind.sum()
            starts += ahead[first[chain]] * behind / (ahead[first[chain]] * behind).sum()
        moved = 0.0
        for old in range(2):
            total = counts[old].sum()
            share = starts[old] / starts.sum()
            moved = max(moved, abs(share - began[old]))
            began[old] = share
            for new in range(2):
                share = counts[old, new] / total if total > 0 else step[old, new]
                moved = max(moved, abs(share - step[old, new]))
                step[old, new] = share
        if moved < steady:
            break
    return counts
