import numpy as np
import pytest

from cellular.errors import InputError
from cellular.track.export import to_graph
from cellular.track.link import link
from cellular.track.scores import score_tracks


@pytest.fixture(autouse=True, scope="module")
def reference():
    """Read when it is needed: at collection each process would wait for it, a second and more."""
    pytest.importorskip("traccuracy")


def frames() -> list[np.ndarray]:
    """One cell that divides, one that stays."""
    images = [np.zeros((40, 60), np.uint16) for _ in range(3)]
    images[0][10:22, 10:22] = 1
    for image in images[1:]:
        image[10:22, 8:15], image[10:22, 17:24] = 1, 3
    for image in images:
        image[5:20, 40:55] = 2
    return images


def test_the_truth_scores_one():
    images = frames()
    truth = link(images)
    assert truth["parent"].max() > 0
    scores = score_tracks(truth, images, truth, images)
    assert (scores.tra, scores.det, scores.lnk, scores.division_f1) == (1, 1, 1, 1)
    assert (scores.divisions, scores.cells, scores.tracks) == (1, 8, 4)


def test_scores_by_hand():
    """One division missed and nothing else: TRA loses a missing edge and two of wrong meaning over the empty graph.

    Matula et al. (2015): weights are 10 for a missed cell, 1.5 for a missed link, 1 for a link of the wrong kind.
    8 cells and 6 links cost 8 * 10 + 6 * 1.5 = 89. Cutting the daughter off removes one link (1.5) and turns the
    other from division into continuation (1).
    """
    images = frames()
    truth = link(images)
    worse = truth.copy()
    mother, daughters = 1, sorted(set(truth.loc[truth["parent"] == 1, "track"]))
    worse.loc[worse["track"] == daughters[0], ["track", "parent"]] = (mother, 0)
    worse.loc[worse["track"] == daughters[1], "parent"] = 0
    assert to_graph(worse).number_of_edges() == to_graph(truth).number_of_edges() - 1
    scores = score_tracks(truth, images, worse, images)
    assert scores.tra == pytest.approx(1 - 2.5 / 89)
    assert scores.division_recall == 0
    assert scores.det == 1


def test_a_division_before_the_first_frame_is_none_to_be_found():
    whole = link(frames())
    late = whole[whole["frame"] > 0].assign(frame=whole["frame"] - 1).reset_index(drop=True)
    assert late["parent"].max() > 0  # the truth knows of it
    scores = score_tracks(late, frames()[1:], late, frames()[1:])
    assert (scores.divisions, scores.cells, scores.tracks) == (0, 6, 3)
    assert np.isnan(scores.division_recall)


def test_different_lengths_are_refused():
    images = frames()
    truth = link(images)
    with pytest.raises(InputError, match="3 frames, the tracks have 2"):
        score_tracks(truth, images, truth, images[:2])
