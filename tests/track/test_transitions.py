"""How often cells change state: sure states by hand, doubtful ones against chains whose truth is known."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, t
from tracks import table

from cellular.track.transitions import transitions


def test_transitions_by_hand():
    found = transitions(table(("a", [0, 0, 1]), ("a", [0, 1, 1]), ("a", [1, 0])))
    assert found.counts.ravel() == pytest.approx([1, 2, 1, 1], abs=1e-3)
    assert found.probability.ravel() == pytest.approx([1 / 3, 2 / 3, 1 / 2, 1 / 2], abs=1e-3)
    assert (found.steps, found.tracks, found.series, found.method) == (5, 3, 1, "Wilson")


def test_wilson_interval_is_statsmodels():
    from statsmodels.stats.proportion import proportion_confint

    found = transitions(table(*[("a", [0, 0])] * 7, *[("a", [0, 1])] * 3))
    assert (found.low[0, 1], found.high[0, 1]) == pytest.approx(proportion_confint(3, 10, method="wilson"), abs=1e-4)
    assert np.isnan(found.low[1]).all()


def test_gaps_and_unknown_states_break_the_chain():
    tracks = table(("a", [0, np.nan, 1]))
    assert transitions(tracks).steps == 0
    assert transitions(table(("a", [0, 1, 1]))[lambda t: t["timepoint"] != 2]).steps == 0


def test_intervals_rest_on_series_and_not_on_cells():
    """Cells of one series are all alike here: however many there are, two series are two observations."""
    few = table(*[("a", [0, 1])] * 5, *[("b", [0, 0])] * 5)
    many = table(*[("a", [0, 1])] * 200, *[("b", [0, 0])] * 200)
    # variance 2 / 1 * 2 * (n / 4)**2 / n**2 = 1 / 4, that of one observation; Wilson's with Student's quantile of 1
    quantile = 12.706
    half = quantile / (1 + quantile**2) * np.sqrt(1 / 4 + quantile**2 / 4)
    for found in (transitions(few), transitions(many)):
        assert found.method == "Wilson between series"
        assert (found.low[0, 1], found.high[0, 1]) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-4)
    one_has_it = transitions(pd.concat([few, table(("c", [1, 1]))]))
    assert np.isnan(one_has_it.low[1]).all()


@pytest.mark.parametrize("series", [2, 3, 6])
def test_intervals_of_few_series_hold_the_truth(series):
    rng, held = np.random.default_rng(series), []
    for _ in range(60):
        rates = 1 / (1 + np.exp(1.4 - 0.4 * rng.normal(size=series)))
        tracks = [(str(n), [0, 1 if rng.random() < rate else 0]) for n, rate in enumerate(rates) for _ in range(30)]
        found = transitions(table(*tracks))
        held.append(found.low[0, 1] <= 0.205 <= found.high[0, 1])
    assert np.mean(held) >= 0.92


def test_timepoints_by_tens_are_consecutive_and_a_lost_one_is_not_stepped_over():
    tracks = table(("a", [0, 1, 1]), ("a", [0, 0, 1])).assign(timepoint=lambda t: t["timepoint"] * 10)
    found = transitions(tracks, step=10)
    assert found.counts.ravel() == pytest.approx([1, 2, 0, 1], abs=1e-3)
    lost = tracks[(tracks["track"] == 1) | (tracks["timepoint"] != 20)]  # the second track has 10 and 30 left
    assert transitions(lost, step=10).counts.ravel() == pytest.approx([0, 1, 0, 1], abs=1e-3)


def drawn(flips, auc, rng, lasting=0.0):
    """Forty tracks of six series at five timepoints, and a classifier of so large an AUC that knows its doubt.

    `flips` are the probabilities to turn activated and basal again; `lasting` is the share of the errors' variance
    that a cell keeps.
    """
    apart = np.sqrt(2) * norm.ppf(auc)
    state, own = rng.random(240) < 0.5, np.sqrt(lasting) * rng.normal(size=240)
    rows = []
    for timepoint in range(5):
        if timepoint:
            state = np.where(state, rng.random(240) >= flips[1], rng.random(240) < flips[0])
        seen = np.where(state, apart / 2, -apart / 2) + own + np.sqrt(1 - lasting) * rng.normal(size=240)
        told = {"track": np.arange(240), "series": np.arange(240) % 6, "timepoint": timepoint}
        rows.append(pd.DataFrame({**told, "probability_activated": 1 / (1 + np.exp(-apart * seen))}))
    return pd.concat(rows)


@pytest.mark.parametrize(
    ("flips", "auc", "lasting"), [((0, 0), 0.8, 0), ((0, 0), 0.8, 0.5), ((0.1, 0.02), 0.9, 0), ((0.3, 0.3), 0.9, 0)]
)
def test_errors_of_the_classifier_are_no_changes(flips, auc, lasting):
    """Told at 0.5, nothing that switches would be 0.4, and 0.3 would be 0.42."""
    draws = [transitions(drawn(flips, auc, np.random.default_rng(seed), lasting)).probability for seed in range(8)]
    mean = np.mean(draws, axis=0)
    assert (mean[0, 1], mean[1, 0]) == pytest.approx(flips, abs=0.05)


def test_the_steps_are_those_of_all_paths():
    """What is learned gives itself again where every path of states is written out."""
    tracks = drawn((0.3, 0.4), 0.9, np.random.default_rng(1))
    tracks = tracks[tracks["series"] == 0]
    found = transitions(tracks)
    seen = [group["probability_activated"].to_numpy() for _, group in tracks.groupby("track")]
    step, began = found.probability, 0.5
    paths = np.array(list(product((0, 1), repeat=5)))
    for _ in range(200):  # what share begins activated is not told, so it is learned here, too
        prior = np.where(paths[:, 0], began, 1 - began) * step[paths[:, :-1], paths[:, 1:]].prod(axis=1)
        weights = np.array([prior * np.where(paths, values, 1 - values).prod(axis=1) for values in seen])
        weights = (weights / weights.sum(axis=1, keepdims=True)).sum(axis=0)
        began = weights @ paths[:, 0] / len(seen)
    steps = np.zeros((2, 2))
    for at in range(4):
        np.add.at(steps, (paths[:, at], paths[:, at + 1]), weights)
    assert steps == pytest.approx(found.counts, abs=1e-3)


@pytest.mark.parametrize("seed", [3, 6])
def test_what_none_of_the_series_shows_has_the_interval_of_none(seed):
    """Where learning stops on its way to nought is no difference between series: of n steps none is at most this."""
    rng, rows = np.random.default_rng(seed), []
    for series in range(6):
        seen = 1.2 * rng.normal(np.where(rng.random(30) < 0.3, 0.6, -0.6), size=(8, 30))  # nothing switches
        told = {"track": np.tile(np.arange(30), 8), "timepoint": np.repeat(np.arange(8), 30), "series": series}
        rows.append(pd.DataFrame({**told, "probability_activated": 1 / (1 + np.exp(-seen.ravel()))}))
    found = transitions(pd.concat(rows))
    assert found.probability[1, 0] < 1e-6
    quantile, n = t.ppf(0.975, 5), found.counts[1].sum()
    assert found.high[1, 0] == pytest.approx(quantile**2 / (n + quantile**2))
    assert found.low[1] == pytest.approx(1 - found.high[1, ::-1])


def test_intervals_count_steps_by_what_is_known_of_them():
    """Told at 0.5 each, every series gives the same half, which was taken for their being alike."""
    from statsmodels.stats.proportion import proportion_confint

    nothing = transitions(table(*((f"s{k % 6}", [0.5] * 4) for k in range(60))))
    assert np.isnan(nothing.low).all()
    # all turn at once: steps of one track balance each other, but each of them is known
    at_once = transitions(table(*[("a", [0, 0, 0, 1])] * 10))
    assert (at_once.low[0, 1], at_once.high[0, 1]) == pytest.approx(
        proportion_confint(10, 30, method="wilson"), abs=1e-4
    )
