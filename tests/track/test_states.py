import numpy as np
import pytest
from scipy.stats import norm, t
from tracks import table

from cellular.errors import InputError
from cellular.track.states import activated_over_time, activation_times, switch_probabilities


def test_switch_probabilities_by_hand():
    # likelihoods: .8*.9 (already), .2*.9 (at 2), .2*.1 (never)
    weights = switch_probabilities(np.array([0.8, 0.9]))
    assert weights == pytest.approx(np.array([0.72, 0.18, 0.02]) / 0.92)


def test_activation_time_with_certainty_and_without():
    rows = activation_times(
        table(("a", [0.01, 0.02, 0.99, 0.98]), ("a", [0.01, 0.4, 0.6, 0.99]), ("b", [0.9, 0.9]), ("b", [0.1, 0.1]))
    ).set_index("track")
    assert rows.loc[1, ["activation", "activation_low", "activation_high"]].tolist() == [3, 3, 3]
    assert rows.loc[2, ["activation_low", "activation_high"]].tolist() == [2, 4]
    assert rows["censored"].tolist() == ["", "", "left", "right"]
    assert np.isnan(rows.loc[4, "activation"])
    assert rows.loc[4, "activation_high"] == np.inf
    assert rows.loc[1, "fit"] == pytest.approx((0.99 * 0.98 * 0.99 * 0.98) ** 0.25)


def test_intervals_cover_the_truth_as_often_as_they_say():
    """Simulated switches seen through a calibrated classifier: the 90 % interval holds at least 90 % of them."""
    rng = np.random.default_rng(0)
    n, covered = 6, []
    for _ in range(400):
        switch = rng.integers(0, n + 1)
        active = np.arange(n) >= switch
        # calibrated: p drawn, then the state believed with probability p
        confidence = rng.beta(2, 1, n) / 2 + 0.5
        right = rng.random(n) < confidence
        p = np.where(active == right, confidence, 1 - confidence)
        row = activation_times(table(("a", p.tolist()))).iloc[0]
        last = n + 1 if row["activation_high"] == np.inf else row["activation_high"]
        first = n + 1 if row["activation_low"] == np.inf else row["activation_low"]
        covered.append(first <= switch + 1 <= last)
    assert np.mean(covered) >= 0.88


def test_intervals_are_told_where_every_track_was_activated():
    # shares are sums of probabilities, which rounding puts past 1 in about one table of three
    rng = np.random.default_rng(0)
    for _ in range(20):
        sure = [np.r_[rng.uniform(0, 0.3, 14), rng.uniform(0.9, 1, 14)].tolist() for _ in range(15)]
        last = activated_over_time(table(*zip("abcde" * 3, sure))).iloc[-1]
        assert (last["activated"], last["ci_high"]) == pytest.approx((1, 1))
        assert last["activated"] <= 1
        assert 0 < last["ci_low"] < 1


def test_activated_over_time_by_hand():
    sure = table(("a", [0, 1, 1]), ("b", [0, 0, 1]))
    found = activated_over_time(sure)
    assert found["activated"].tolist() == pytest.approx([0, 0.5, 1], abs=1e-5)
    # of two series of one track each next to nothing is known, and nothing outside of 0 to 1
    assert found["ci_low"].between(0, 0.02).tolist() == [True, True, True]
    assert found["ci_high"].between(0.98, 1).tolist() == [True, True, True]
    assert found["tracks"].tolist() == [2, 2, 2]
    assert activated_over_time(sure[sure["series"] == "a"])["ci_low"].isna().all()


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5])
def test_no_share_rises_where_no_cell_switches(share):
    """With each switch taken for equally likely beforehand it went from 0.01 to 0.34 of cells that never did."""
    rng, apart = np.random.default_rng(1), 1.8  # of two normal distributions, whose cells are told with an AUC of 0.90
    tracks = []
    for number in range(400):
        score = rng.normal(apart * ((number < 400 * share) - 0.5), 1, 5)
        tracks.append(("ab"[number % 2], (1 / (1 + np.exp(-apart * score))).tolist()))
    found = activated_over_time(table(*tracks))
    assert found["activated"].to_numpy() == pytest.approx(np.full(5, share), abs=0.05)
    assert (found["ci_high"] >= share).all()


def test_no_share_rises_where_series_hold_a_few_tracks_each():
    """Learned from two tracks a series, three in ten cells switched by the last timepoint, of which none did."""
    rng, apart = np.random.default_rng(3), 1.2  # an AUC of 0.80
    scores = rng.normal(-apart / 2, 1, (300, 5))
    rows = [(f"s{k // 2}", row.tolist()) for k, row in enumerate(1 / (1 + np.exp(-apart * scores)))]
    found = activated_over_time(table(*rows))
    assert found["activated"].max() < 0.1
    assert (found["ci_low"] < 0.02).all()
    assert found["ci_high"].iloc[-1] < 0.3


def test_shares_differ_between_series_as_their_cells_do():
    """What all tracks tell draws doubtful ones of all series together, and must not narrow the interval."""
    rng, apart = np.random.default_rng(4), 1.2
    switched = np.repeat(np.arange(12) % 2, 30)  # of twelve series half are activated throughout, half never
    scores = rng.normal(apart * (switched[:, None] - 0.5), 1, (360, 2))
    rows = [(f"s{k // 30}", row.tolist()) for k, row in enumerate(1 / (1 + np.exp(-apart * scores)))]
    last = activated_over_time(table(*rows)).iloc[-1]
    # Wilson's of the variance between series that are 0 or 1, with Student's quantile of 11 degrees of freedom
    half = t.ppf(0.975, 11) * np.sqrt(0.25 / 11)
    assert last["ci_high"] - last["ci_low"] == pytest.approx(2 * half, rel=0.25)


@pytest.mark.parametrize("auc", [0.5, 0.55])
def test_a_classifier_that_tells_next_to_nothing_leaves_next_to_all_shares_open(auc):
    """Half of the cells are activated throughout; all series are as doubtful, which was taken for being alike."""
    rng, apart = np.random.default_rng(4), np.sqrt(2) * norm.ppf(auc)
    scores = rng.normal(apart * (np.arange(240)[:, None] % 2 - 0.5), 1, (240, 5))
    found = activated_over_time(
        table(*((f"s{k % 5}", (1 / (1 + np.exp(-apart * s))).tolist()) for k, s in enumerate(scores)))
    )
    assert not (found["ci_low"] > 0.5).any()
    assert not (found["ci_high"] < 0.5).any()


def test_tracks_of_other_timepoints_share_what_is_learned():
    """A doubtful track is taken for what the sure ones of its series are: all of them switch from 2 to 3."""
    rows = table(*[("a", [0, 0, 1, 1])] * 30, ("a", [0.5, 0.5, 0.5, 0.5]))
    rows = rows[(rows["track"] < 31) | (rows["timepoint"] > 1)]
    found = activated_over_time(rows)
    assert found["tracks"].tolist() == [30, 31, 31, 31]
    assert found["activated"].tolist() == pytest.approx([0, 0, 1, 1], abs=1e-3)


def test_bad_probabilities_are_refused():
    with pytest.raises(InputError, match=r"1\.5"):
        activation_times(table(("a", [0.1, 1.5])))
    with pytest.raises(InputError, match="probability_activated"):
        activation_times(table(("a", [0.1, 0.5])).drop(columns="probability_activated"))
    with pytest.raises(InputError, match="level"):
        activation_times(table(("a", [0.1, 0.5])), level=1)
