"""Linking on hand-made cells, where the right answer is plain to see."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellular.errors import InputError, SettingsError
from cellular.track.costs import Cells, PairCosts, cells_of, drift
from cellular.track.link import TrackSettings, link
from cellular.track.summary import summarise

SHAPE = (120, 160)


def discs(*cells: tuple[int, float, float, float]) -> np.ndarray:
    """Label image with discs (label, y, x, radius)."""
    image = np.zeros(SHAPE, np.uint16)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for label, cy, cx, radius in cells:
        image[(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = label
    return image


def track_of(tracks: pd.DataFrame, frame: int, label: int) -> int:
    return int(tracks.set_index(["frame", "label"]).loc[(frame, label), "track"])


def test_cells_are_measured_by_hand():
    labels = np.array([[5, 5, 0], [0, 5, 2]])
    cells = cells_of(labels)
    assert cells.labels.tolist() == [2, 5]
    assert cells.areas.tolist() == [1, 3]
    assert cells.centroids.tolist() == [[1.0, 2.0], [pytest.approx(1 / 3), pytest.approx(2 / 3)]]
    assert cells.index.tolist() == [[2, 2, 0], [0, 2, 1]]


def test_costs_by_hand():
    before = np.array([[1, 1, 0, 0]])
    after = np.array([[0, 1, 1, 1]])
    pair = PairCosts(cells_of(before), cells_of(after), np.zeros(2))
    assert pair.distance[0, 0] == pytest.approx(1.5)
    assert pair.overlap[0, 0] == pytest.approx(1 / 4)
    assert pair.area_ratio[0, 0] == pytest.approx(1.5)
    assert pair.appearance[0, 0] == pytest.approx(np.log(1.5))


def test_overlap_is_taken_after_the_shift():
    before, after = discs((1, 40, 40, 10)), discs((1, 47, 35, 10))
    moved = PairCosts(cells_of(before), cells_of(after), np.array([7.0, -5.0]))
    assert moved.overlap[0, 0] == pytest.approx(1)
    assert moved.distance[0, 0] == pytest.approx(0)


def test_drift_is_the_common_step():
    places = [(20, 20), (20, 60), (20, 120), (80, 30), (80, 90), (90, 140)]
    before = discs(*((i + 1, y, x, 8) for i, (y, x) in enumerate(places)))
    after = discs(*((i + 1, y + 4, x - 3, 8) for i, (y, x) in enumerate(places)))
    assert drift(cells_of(before), cells_of(after)) == pytest.approx([4, -3])


@pytest.mark.parametrize("jump", [(0, 0), (22, -14), (-45, 40)])
def test_a_jump_of_the_stage_leaves_every_cell_its_track(jump):
    # farther than cells lie apart, whose nearest are others then; about as many enter as leave
    draw = np.random.default_rng(3)
    rows, columns = np.mgrid[10:311:20, 10:311:20]
    places = np.stack([rows.ravel(), columns.ravel()], axis=1) + draw.uniform(-4, 4, (rows.size, 2))
    steps = draw.normal(0, 1, places.shape)

    def seen(about: np.ndarray) -> np.ndarray:
        """The part of the dish from (80, 80) on; label n is cell n throughout."""
        return discs(*((n + 1, y, x, 6) for n, (y, x) in enumerate(about - 80)))

    before, after = seen(places), seen(places + steps + jump)
    assert drift(cells_of(before), cells_of(after)) == pytest.approx(jump, abs=1)
    tracks = link([before, after])
    one, other = (tracks[tracks["frame"] == frame].set_index("label")["track"] for frame in (0, 1))
    both = one.index.intersection(other.index)
    assert len(both) > 15
    linked = {(a, b) for a in one.index for b in other.index if one[a] == other[b]}
    # cells cut by the border have moved centroids: one may be lost, none is another
    assert all(a == b for a, b in linked)
    assert len(linked) >= 0.9 * len(both)


def test_a_jump_of_specks_in_a_large_image_takes_little_memory():
    draw, blank = np.random.default_rng(0), np.zeros((4000, 4000), np.int8)
    before = draw.uniform(0, 4000, (300, 2))
    after = before + [310, -205] + draw.normal(0, 0.2, (300, 2))
    seen = (Cells(np.arange(300), blank, place, np.full(300, 4), np.empty((300, 0))) for place in (before, after))
    tracemalloc.start()
    assert drift(*seen) == pytest.approx([310, -205], abs=0.1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6


@pytest.mark.parametrize(("stay", "crawl"), [(36, 10), (18, 6)])
def test_cells_that_crawl_or_come_and_go_are_no_jump(stay, crawl):
    draw, blank, steps = np.random.default_rng(0), np.zeros((156, 156), np.int32), []

    def strewn() -> np.ndarray:
        """36 cells of radius 10, each somewhere in its square of 26 px."""
        return np.mgrid[13:156:26, 13:156:26].reshape(2, -1).T + draw.uniform(-9, 9, (36, 2))

    for _ in range(60):
        before, after = strewn(), strewn()
        same = draw.permutation(36)[:stay]
        after[same] = before[same] + draw.normal(0, crawl, (stay, 2))
        seen = (Cells(np.arange(36), blank, place, np.full(36, 314), np.empty((36, 0))) for place in (before, after))
        steps.append(drift(*seen))
    assert np.linalg.norm(steps, axis=1).max() < 6


@pytest.mark.parametrize("max_gap", [0, 1])
def test_two_outlines_that_run_into_one_for_a_frame_do_not_divide(max_gap):
    apart = discs((1, 60, 50, 12), (2, 60, 76, 13), (3, 30, 130, 12))
    merged = np.where(apart == 2, 1, apart)
    after = discs((4, 61, 77, 13), (5, 60, 49, 12), (3, 30, 130, 12))
    tracks = link([apart, apart, merged, after, after], TrackSettings(max_gap=max_gap))
    assert tracks["parent"].eq(0).all()
    one, other = track_of(tracks, 1, 1), track_of(tracks, 1, 2)
    went_on = {track_of(tracks, 2, 1)} if max_gap == 0 else {one, other}
    assert {one, other} & {track_of(tracks, 4, 4), track_of(tracks, 4, 5)} == went_on
    if max_gap:
        assert (track_of(tracks, 4, 5), track_of(tracks, 4, 4)) == (one, other)


def test_a_cell_that_ran_into_debris_divides():
    # 779 px of the cell and 115 of the debris at its rim make 894; then two daughters of 375 px
    with_debris = np.maximum(discs((1, 60, 60, 16), (3, 30, 130, 12)), discs((2, 60, 77, 6)))
    swallowed = np.where(with_debris == 2, 1, with_debris)
    parted = discs((4, 60, 50, 11), (5, 60, 71, 11), (3, 30, 130, 12))
    tracks = link([with_debris, with_debris, swallowed, parted, parted])
    mother = track_of(tracks, 0, 1)
    assert track_of(tracks, 2, 1) == mother
    daughters = tracks[tracks["frame"].eq(3) & tracks["label"].isin([4, 5])]
    assert daughters["parent"].tolist() == [mother, mother]


def test_labels_may_change_and_tracks_do_not():
    tracks = link([discs((1, 30, 30, 10), (2, 80, 100, 10)), discs((7, 82, 98, 10), (9, 31, 33, 10))])
    assert track_of(tracks, 0, 1) == track_of(tracks, 1, 9)
    assert track_of(tracks, 0, 2) == track_of(tracks, 1, 7)
    assert tracks["parent"].eq(0).all()


def test_a_division_ends_one_track_and_starts_two():
    parent = discs((1, 60, 60, 14), (2, 60, 130, 12))
    daughters = discs((1, 60, 50, 10), (3, 60, 70, 10), (2, 60, 130, 12))
    tracks = link([parent, daughters])
    mother = track_of(tracks, 0, 1)
    born = tracks[tracks["parent"] == mother]
    assert sorted(born["label"]) == [1, 3]
    assert born["track"].nunique() == 2
    assert tracks.loc[tracks["track"].isin([mother, *born["track"]]), "lineage"].nunique() == 1
    assert track_of(tracks, 0, 2) == track_of(tracks, 1, 2)


def test_two_neighbours_are_no_division_when_their_areas_do_not_add_up():
    before = discs((1, 60, 60, 10))
    after = discs((1, 60, 60, 10), (2, 60, 81, 9))
    tracks = link([before, after])
    assert tracks["parent"].eq(0).all()
    assert track_of(tracks, 0, 1) == track_of(tracks, 1, 1) != track_of(tracks, 1, 2)


def test_divisions_can_be_switched_off():
    frames = [discs((1, 60, 60, 14)), discs((1, 60, 50, 10), (3, 60, 70, 10))]
    assert link(frames, TrackSettings(divisions=False))["parent"].eq(0).all()


def test_a_gap_is_bridged_and_only_as_far_as_allowed():
    seen, missed = discs((1, 60, 60, 12), (2, 30, 120, 12)), discs((2, 30, 120, 12))
    tracks = link([seen, missed, seen])
    assert track_of(tracks, 0, 1) == track_of(tracks, 2, 1)
    tracks = link([seen, missed, missed, seen])
    assert track_of(tracks, 0, 1) != track_of(tracks, 3, 1)
    assert track_of(link([seen, missed, seen], TrackSettings(max_gap=0)), 2, 1) != 1


def test_appearance_decides_where_place_does_not():
    before = discs((1, 60, 50, 9), (2, 60, 70, 9))
    after = discs((1, 50, 60, 9), (2, 70, 60, 9))
    chosen = TrackSettings(max_distance=1)
    features = pd.DataFrame({"mean": [10.0, 1000.0]}, index=[1, 2])
    same = link([before, after], chosen, [features, features])
    swapped = link([before, after], chosen, [features, features.set_axis([2, 1])])
    assert track_of(same, 0, 1) == track_of(same, 1, 1)
    assert track_of(swapped, 0, 1) == track_of(swapped, 1, 2)


def test_links_found_backwards_are_compared_by_appearance_too():
    images = [discs((1, 60, 50, 6), (2, 60, 74, 6)), discs((1, 60, 56, 6), (2, 60, 68, 6))]
    looks = [pd.DataFrame({"light": light}, index=[1, 2]) for light in ([0.0, 10.0], [10.0, 0.0])]
    chosen = TrackSettings(weight_appearance=20, max_distance=3, divisions=False)
    tracks = link(images, chosen, looks)
    assert track_of(tracks, 0, 1) == track_of(tracks, 1, 2)  # past each other, which place alone would not have
    assert summarise(tracks, images, chosen, features=looks)["reversed_agreement"] == 1
    assert summarise(tracks, images, chosen)["reversed_agreement"] == 0


def test_far_away_is_another_cell():
    tracks = link([discs((1, 20, 20, 10)), discs((1, 90, 130, 10))])
    assert tracks["track"].tolist() == [1, 2]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 400), min_size=36, max_size=36), min_size=1, max_size=4))
def test_no_cell_is_ever_dropped(values):
    """Whatever the images hold, every label of every frame is in the table exactly once, in exactly one track."""
    images = [np.array(frame, np.uint16).reshape(6, 6) % 7 * 13 for frame in values]
    tracks = link(images)
    expected = {(t, int(label)) for t, image in enumerate(images) for label in np.unique(image) if label}
    assert {tuple(row) for row in tracks[["frame", "label"]].to_numpy().tolist()} == expected
    assert len(tracks) == len(expected)
    assert (tracks["track"] > 0).all()
    assert not tracks.duplicated(["track", "frame"]).any()
    parents = set(tracks["parent"]) - {0}
    assert parents <= set(tracks["track"])


def test_empty_frames_and_huge_labels():
    image = np.zeros((8, 8), np.uint32)
    image[2:5, 2:5] = 4_000_000_000
    tracks = link([np.zeros_like(image), image, image, np.zeros_like(image)])
    assert tracks[["frame", "label", "track"]].to_numpy().tolist() == [[1, 4_000_000_000, 1], [2, 4_000_000_000, 1]]
    assert link([np.zeros((4, 4), np.uint8)]).empty


def test_what_cannot_be_tracked_is_named():
    with pytest.raises(InputError, match="No label images"):
        link([])
    with pytest.raises(InputError, match=r"image 1 has shape \(4, 5\)"):
        link([np.zeros((4, 4), int), np.zeros((4, 5), int)])
    with pytest.raises(InputError, match="no row for label 1"):
        link([np.ones((4, 4), int)], features=[pd.DataFrame({"a": [1.0]}, index=[2])])
    for wrong in ({"max_distance": 0}, {"max_cost": 2}, {"max_gap": -1}, {"weight_overlap": -1}):
        with pytest.raises(SettingsError, match=str(next(iter(wrong.values())))):
            TrackSettings(**wrong)


def test_as_laptrack_links_points():
    """External reference: with the centroid alone, LapTrack's own metric and cut-off give the same tracks."""
    from laptrack import LapTrack
    from laptrack.data_conversion import tree_to_dataframe

    rng = np.random.default_rng(2)
    places = np.stack([g.ravel() for g in np.meshgrid(np.arange(12, 110, 24), np.arange(12, 150, 24))], axis=1)
    frames, points = [], []
    for _ in range(3):
        here = places + rng.integers(-5, 6, places.shape)
        frames.append(discs(*((i + 1, y, x, 5) for i, (y, x) in enumerate(here))))
        points.append(cells_of(frames[-1]).centroids)
    chosen = TrackSettings(
        weight_overlap=0, weight_appearance=0, correct_drift=False, divisions=False, max_gap=0, max_cost=1
    )
    ours = link(frames, chosen)
    reach = chosen.max_distance * np.median(np.concatenate([cells_of(frame).diameters for frame in frames]))
    theirs = LapTrack(
        cutoff=reach**2, gap_closing_cutoff=False, track_start_cost=reach**2, track_end_cost=reach**2
    ).predict(points)
    table, _, _ = tree_to_dataframe(theirs, points)
    for frame in range(3):
        assert ours.loc[ours["frame"] == frame, "track"].tolist() == (table.loc[frame, "track_id"] + 1).tolist()
