"""Autophagy state along tracks: when cells were activated.

All works from the classifier's probability of activation, so a cell that could be either counts as that.
"""

import numpy as np
import pandas as pd
from scipy.stats import norm, t

from cellular.autophagy.state.probabilities import LEAST, check_probabilities
from cellular.errors import InputError

STATES = ("basal", "activated")
_NORMAL = float(norm.ppf(0.975))
# Differences of series are made up for by this at least as what all tracks together tell of a share; of one nearer to 0
# or 1 than `_NEAR` it cannot be estimated how much that is.
_LEAST_KNOWN, _NEAR = 0.05, 0.05
# Shares by timepoint are learned until none moves by more than this, or so often.
_STEADY, _MOST_ROUNDS = 1e-5, 2000


def known_states(tracks: pd.DataFrame, probability: str) -> pd.DataFrame:
    """The rows of `tracks` with a `probability`, track by track in order of time.

    Raises InputError for tracks without this column or a place, and where it is none.
    """
    missing = {"series", "track", "timepoint", probability} - set(tracks.columns)
    if missing:
        raise InputError(f"States along tracks need the column(s) {sorted(missing)}")
    known = tracks.dropna(subset=[probability])
    check_probabilities(known[probability])
    return known.sort_values(["series", "track", "timepoint"])


def _between(parts: np.ndarray, wholes: np.ndarray, told: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95 % interval of shares, `parts` over `wholes` (S, ...), from how the S series differ; NaN with fewer than two.

    Wilson's for as many observations as have the variance that the ratio estimate has between series (Cochran, Sampling
    Techniques, 6.3), at most as many as are `told` (...), with Student's quantile of the series less one (as Korn &
    Graubard, Surv Methodol 24, 193, 1998, do with Clopper and Pearson's).
    """
    series, total = (wholes > 0).sum(axis=0), wholes.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.clip(parts.sum(axis=0) / total, 0, 1)  # sums of probabilities pass 1 by rounding
        spread = ((parts - share * wholes) ** 2).sum(axis=0) * series / (series - 1) / total**2
        alike = (spread == 0) | (share == 0) | (share == 1)  # but for rounding
        effective = np.minimum(told, np.where(alike, np.inf, share * (1 - share) / spread))
    enough = np.where(series > 1, effective, np.nan)
    return wilson(share, enough, t.ppf(0.975, np.maximum(series - 1, 1)))


def wilson(share: np.ndarray, n: np.ndarray, z: np.ndarray | float = _NORMAL) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval of shares of `n` at the quantile `z` (Wilson, JASA 22, 209, 1927); NaN of none."""
    n = np.where(n > 0, n, np.nan)
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)


def activation_times(
    tracks: pd.DataFrame, *, probability: str = "probability_activated", level: float = 0.9
) -> pd.DataFrame:
    """When each track switched from basal to activated, with its uncertainty.

    The model: a track is basal up to some timepoint and activated from it on. With calibrated probabilities p_t that
    are independent given the state, a switch at k has the likelihood prod_{t<k} (1 - p_t) * prod_{t>=k} p_t; all k,
    "before the first timepoint" and "not by the last" included, are equally likely beforehand. (A change-point model
    with one change; cells that return to basal do not fit it, which ``fit`` shows.)

    Raises InputError for a `level` that is no share, and for tracks without the columns that this takes.

    Returns
    -------
    One row per track with at least two known timepoints: ``series, track, timepoints`` (known), ``first, last``,
    ``activation`` (most probable timepoint of the switch; the first timepoint seen when it was already activated, NaN
    when it never was), ``activation_low, activation_high`` (the shortest run of timepoints holding `level` of the
    probability; infinite where that run includes "not by the last"), ``p_already`` and ``p_never``
    (probability that the switch lies before the first or after the last timepoint: censored), ``censored``
    (``"left"``, ``"right"`` or ``""``), and ``fit``, the geometric mean probability of the states under the best
    switch (1 = one clean switch, 0.5 = no better than chance).
    """
    if not 0 < level < 1:
        raise InputError(f"level must lie between 0 and 1, got {level}")
    known = known_states(tracks, probability)
    rows = []
    for (series, track), group in known.groupby(["series", "track"], sort=True):
        if len(group) > 1:
            switch = _switch(group["timepoint"].to_numpy(), group[probability].to_numpy(np.float64), level)
            rows.append({"series": series, "track": track, **switch})
    return pd.DataFrame(rows, columns=["series", "track", *_SWITCH_COLUMNS])


_SWITCH_COLUMNS = (
    "timepoints",
    "first",
    "last",
    "activation",
    "activation_low",
    "activation_high",
    "p_already",
    "p_never",
    "censored",
    "fit",
)


def switch_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """(n + 1,) probability that the switch is at index 0 (already activated), 1, ..., n (never) for n timepoints.

    >>> switch_probabilities(np.array([0.0, 1.0])).round(2).tolist()
    [0.0, 1.0, 0.0]
    """
    likelihood = _log_likelihood(probabilities)
    weights = np.exp(likelihood - likelihood.max())
    return weights / weights.sum()


def _log_likelihood(probabilities: np.ndarray) -> np.ndarray:
    p = np.clip(probabilities, LEAST, 1 - LEAST)
    basal = np.concatenate([[0], np.cumsum(np.log1p(-p))])
    activated = np.concatenate([np.cumsum(np.log(p)[::-1])[::-1], [0]])
    return basal + activated


def _switch(timepoints: np.ndarray, probabilities: np.ndarray, level: float) -> dict:
    weights = switch_probabilities(probabilities)
    best = int(weights.argmax())
    low, high = _shortest_run(weights, level)
    times = np.concatenate([timepoints.astype(np.float64), [np.inf]])
    return {
        "timepoints": len(timepoints),
        "first": int(timepoints[0]),
        "last": int(timepoints[-1]),
        "activation": times[best] if best < len(timepoints) else np.nan,
        "activation_low": times[low],
        "activation_high": times[high],
        "p_already": weights[0],
        "p_never": weights[-1],
        "censored": "left" if best == 0 else "right" if best == len(timepoints) else "",
        "fit": float(np.exp(_log_likelihood(probabilities)[best] / len(timepoints))),
    }


def _shortest_run(weights: np.ndarray, level: float) -> tuple[int, int]:
    """First and last index of the shortest run that holds `level` of the weight; the heaviest of equals."""
    total = np.concatenate([[0], np.cumsum(weights)])
    for length in range(1, len(weights) + 1):
        held = total[length:] - total[:-length]
        start = int(held.argmax())
        if held[start] >= level - 1e-12:
            return start, start + length - 1
    return 0, len(weights) - 1


def activated_over_time(tracks: pd.DataFrame, *, probability: str = "probability_activated") -> pd.DataFrame:
    """Share of tracks switched by each timepoint, with a 95 % interval from how the series differ (:func:`_between`).

    The model of :func:`activation_times`, but how likely a switch is at each timepoint is learned from all tracks
    together (:func:`_switched`): taken for equally likely, a share would rise where no cell switches, and so it would
    where it is learned from a few. A track is taken over its own timepoints only. Columns: ``timepoint, activated,
    ci_low, ci_high, tracks, series``; the interval is NaN where there is a single series.
    """
    known = known_states(tracks, probability)
    known = known[known.groupby(["series", "track"])["timepoint"].transform("size") > 1]
    known = known.assign(track=known.groupby(["series", "track"]).ngroup(), share=known[probability], told=1.0)
    table = _of_series(_switched(known)) if len(known) else known
    sums = table.pivot_table(index="series", columns="timepoint", values="share", aggfunc="sum", fill_value=0)
    counts = table.pivot_table(index="series", columns="timepoint", values="share", aggfunc="count", fill_value=0)
    told = table.groupby("timepoint")["told"].sum().to_numpy()
    low, high = _between(sums.to_numpy(), counts.to_numpy(), told)
    return pd.DataFrame(
        {
            "timepoint": sums.columns,
            "activated": (sums.sum() / counts.sum()).clip(0, 1).to_numpy(),
            "ci_low": low,
            "ci_high": high,
            "tracks": counts.sum().to_numpy(),
            "series": (counts > 0).sum().to_numpy(),
        }
    )


def _switched(rows: pd.DataFrame) -> pd.DataFrame:
    """The `rows` of tracks with the probability, in column ``share``, that each has switched by each timepoint.

    On entry ``share`` is the probability of activation there, and ``track`` counts from 0. What share of tracks
    switches at each timepoint, before the first and never, is of the largest likelihood, by expectation and
    maximisation from equal ones (Turnbull, J R Stat Soc B 38, 290, 1976, where what is known of a switch is an
    interval).
    """
    track, times = rows["track"].to_numpy(), np.unique(rows["timepoint"])
    at = np.searchsorted(times, rows["timepoint"])
    p = rows["share"].to_numpy(np.float64).clip(LEAST, 1 - LEAST)
    # how much likelier a track's cell is activated from a timepoint on than from the next one; summed up from the end
    gain = np.zeros((track.max() + 1, len(times) + 1))
    gain[track, at] = np.log(p) - np.log1p(-p)
    gain = gain[:, ::-1].cumsum(axis=1)[:, ::-1]
    likelihood = np.exp(gain - gain.max(axis=1, keepdims=True))
    prior = np.full(len(times) + 1, 1 / (len(times) + 1))
    for _ in range(_MOST_ROUNDS):
        before, prior = prior, prior * (1 / (likelihood @ prior) @ likelihood) / len(likelihood)
        if np.abs(np.cumsum(prior - before)).max() < _STEADY:
            break
    weights = prior * likelihood
    weights /= weights.sum(axis=1, keepdims=True)
    return rows.assign(share=weights.cumsum(axis=1)[track, at])


def _of_series(rows: pd.DataFrame) -> pd.DataFrame:
    """The `rows` with shares by which series differ as their cells do, and of the same mean at each timepoint.

    What a track does not tell is filled in by all tracks, which draws series together by the part of the information
    that is missing (Louis, J R Stat Soc B 44, 226, 1982). Column ``told`` is the part that is there.
    """
    at = rows.groupby("timepoint")["share"]
    mean = at.transform("mean")
    known = (at.transform("var", ddof=0) / (mean * (1 - mean))).fillna(1).clip(upper=1)
    share = mean + (rows["share"] - mean) / known.clip(lower=_LEAST_KNOWN)
    return rows.assign(share=share, told=known.where(mean.between(_NEAR, 1 - _NEAR), 1))
