"""How often cells change between basal and activated autophagy, from one timepoint to the next.

States are told with doubt. Counted as they are told, every cell told wrongly once is two changes; so the changes
are learned together with the states, by a hidden Markov model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t

from cellular.autophagy.state.probabilities import LEAST, left_out
from cellular.jit import njit
from cellular.track.states import STATES, known_states, wilson

# How much is told of a probability to change cannot be estimated where it is nearer to 0 or 1 than this.
_NEAR = 0.05
# A state is there where so many steps begin in it in all: less is what doubt leaves of none.
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
    low, high : (2, 2) 95 % interval, Wilson's. With two or more series it is for as many steps as vary like the share
        does as each series is left out (cells of one field share their field's fate), at most those that are known,
        with Student's quantile of the series less one; with one series it takes these as independent, and is too
        narrow. NaN for a state that one of several series has.
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
    cell in either state. What share begins activated, and how probable steps are, is of the largest likelihood of all
    tracks together, by expectation and maximisation from equal ones (Baum and Welch; Rabiner, Proc IEEE 77, 257, 1989).
    An error that lasts, of a cell that looks activated throughout, is no change.

    Parameters
    ----------
    tracks : table with ``series, track, timepoint`` and the column `probability` of activation, 0..1, calibrated where
        both states are as frequent; rows without a probability, and skipped timepoints, break the chain.
    step : from one timepoint to the next (:func:`cellular.track.series.step_of`); two that are farther apart are no
        consecutive ones.
    """
    chains = _chains(tracks, probability, step)
    parts = [_Seen.of(rows) for _, rows in chains.groupby("series")]
    counts, told, learned = _fit(parts)
    total, share = counts.sum(axis=1, keepdims=True), _rows_to_one(counts)
    inner = share.min(axis=1, keepdims=True) > _NEAR
    known = np.divide(told, share.prod(axis=1, keepdims=True), out=total.copy(), where=inner).clip(max=total)
    several = len(parts) > 1
    if several:
        others = ([part for s, part in enumerate(parts) if s not in set(group)] for group in left_out(len(parts)))
        without = np.array([_rows_to_one(_fit(some, learned)[0]) for some in others])
        low, high = wilson(share, _effective(share, without, total, known), t.ppf(0.975, len(without) - 1))
    else:
        low, high = wilson(share, known)
    return Transitions(
        counts=counts,
        probability=share,
        low=low,
        high=high,
        steps=len(chains) - chains["chain"].nunique(),
        tracks=len(chains[["series", "track"]].drop_duplicates()),
        series=len(parts),
        method="Wilson between series" if several else "Wilson",
    )


def _effective(share: np.ndarray, without: np.ndarray, total: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(2, 2) independent steps that vary as much as `share` does by the jackknife, at most the `known` ones (2, 1).

    `without` (S, 2, 2) are the shares as each series is left out; NaN where they cannot be told then. What varies by
    less than a step that is there is where learning stopped on its way to nought: it does not vary.
    """
    spread = (len(without) - 1) / len(without) * ((without - share) ** 2).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        varies = share.prod(axis=1, keepdims=True) / spread
        effective = np.minimum(known, np.where(spread * total**2 < _FEWEST_STEPS**2, np.inf, varies))
    return np.where(np.isnan(spread), np.nan, effective)


def _chains(tracks: pd.DataFrame, probability: str, step: int) -> pd.DataFrame:
    """``series, track, chain, activated``: runs of two timepoints and more that follow each other, and their states."""
    known = known_states(tracks, probability)
    before = known.groupby(["series", "track"])["timepoint"].shift()
    chain = (known["timepoint"] != before + step).cumsum()
    rows = known[["series", "track"]].assign(chain=chain, activated=known[probability].astype(np.float64))
    return rows[rows.groupby("chain")["chain"].transform("size") > 1]


@dataclass(frozen=True)
class _Seen:
    """What was seen of the chains of one series.

    Attributes
    ----------
    likelihood : (N, 2) of each cell by state, chain after chain. lengths : (M,) cells of each chain.
    """

    likelihood: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, rows: pd.DataFrame) -> "_Seen":
        """That of rows of :func:`_chains`."""
        p = rows["activated"].to_numpy().clip(LEAST, 1 - LEAST)
        return cls(np.column_stack([1 - p, p]), np.unique(rows["chain"], return_counts=True)[1])


_Learned = tuple[np.ndarray, np.ndarray]


def _fit(parts: Sequence[_Seen], start: _Learned | None = None) -> tuple[np.ndarray, np.ndarray, _Learned]:
    """Expected steps (2, 2) and what is told of them (2, 1), see :func:`_learn`, and what was learned from a `start`.

    That is the shares that begin in a state (2,) and step between them (2, 2).
    """
    began: np.ndarray = np.full(2, 0.5)
    step: np.ndarray = np.full((2, 2), 0.5)
    if start is not None:  # not quite: what is nought stays nought
        began, step = (0.1 * even + 0.9 * part for even, part in zip((began, step), start))
    likelihood = np.concatenate([np.empty((0, 2)), *(part.likelihood for part in parts)])
    first = np.cumsum([0, *(length for part in parts for length in part.lengths)])
    counts, told = _learn(likelihood, first, began, step, _MOST_ROUNDS, _STEADY)
    return counts, told[:, None], (began, step)


def _rows_to_one(counts: np.ndarray) -> np.ndarray:
    total = counts.sum(axis=-1, keepdims=True)
    return np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total >= _FEWEST_STEPS)


@njit
def _learn(seen: Any, first: Any, began: Any, step: Any, rounds: int, steady: float) -> Any:
    """Expected steps (2, 2) of chains, which begin at the rows `first` of `seen` (N, 2), how likely it is by state.

    And by the state before (2,) the squares of how far from the shares learned steps are told to be, one by one or,
    where that is more, those of a chain together: their variance where they are known, nought where nothing is.
    `began` (2,) and `step` (2, 2) are what is learned.
    """
    ahead = np.empty(seen.shape)
    counts, by_step, by_chain, whole = np.zeros((2, 2)), np.zeros(2), np.zeros(2), np.zeros(2)
    for _ in range(rounds if len(first) > 1 else 0):
        counts[:] = 0
        by_step[:] = 0
        by_chain[:] = 0
        starts = np.zeros(2)
        for chain in range(len(first) - 1):
            basal, activated = began
            for row in range(first[chain], first[chain + 1]):
                if row > first[chain]:
                    basal, activated = (
                        ahead[row - 1, 0] * step[0, 0] + ahead[row - 1, 1] * step[1, 0],
                        ahead[row - 1, 0] * step[0, 1] + ahead[row - 1, 1] * step[1, 1],
                    )
                basal, activated = basal * seen[row, 0], activated * seen[row, 1]
                ahead[row, 0] = basal / (basal + activated)
                ahead[row, 1] = activated / (basal + activated)
            behind = (1.0, 1.0)
            whole[:] = 0
            for row in range(first[chain + 1] - 1, first[chain], -1):
                coming = (seen[row, 0] * behind[0], seen[row, 1] * behind[1])
                behind = (
                    step[0, 0] * coming[0] + step[0, 1] * coming[1],
                    step[1, 0] * coming[0] + step[1, 1] * coming[1],
                )
                total = ahead[row - 1, 0] * behind[0] + ahead[row - 1, 1] * behind[1]
                for old in range(2):
                    basal = ahead[row - 1, old] * step[old, 0] * coming[0] / total
                    activated = ahead[row - 1, old] * step[old, 1] * coming[1] / total
                    counts[old, 0] += basal
                    counts[old, 1] += activated
                    apart = activated * step[old, 0] - basal * step[old, 1]
                    by_step[old] += apart**2
                    whole[old] += apart
                behind = (behind[0] / (behind[0] + behind[1]), behind[1] / (behind[0] + behind[1]))
            by_chain[0] += whole[0] ** 2
            by_chain[1] += whole[1] ** 2
            basal, activated = ahead[first[chain], 0] * behind[0], ahead[first[chain], 1] * behind[1]
            starts[0] += basal / (basal + activated)
            starts[1] += activated / (basal + activated)
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
    return counts, np.maximum(by_step, by_chain)
