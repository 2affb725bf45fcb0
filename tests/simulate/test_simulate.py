"""Simulated fields: laid out as the archive, true to their truth tables, the same for the same seed."""

import hashlib
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile

import cellular.jobs.simulate as simulate_module
from cellular.data.fields import parse_field
from cellular.data.formats.images import read_image, read_labels
from cellular.errors import OutputExistsError, SettingsError
from cellular.jobs.simulate import simulate
from cellular.simulate import SimulationSettings, simulate_field, simulate_series

SMALL = SimulationSettings(fields=3, size_px=192, timepoints=2, seed=5, diameter_px=32, unidentified_share=0.2)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("sim") / "out", SMALL)


@pytest.fixture(scope="module")
def crowd():
    """One fed and one starved field of many cells."""
    settings = SimulationSettings(size_px=512, diameter_px=40, cells_per_field=140)
    return {field.treatment: field for field in (simulate_field(settings, position) for position in (0, 1))}


def digests(folder):
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def equivalent_diameter(cell):
    return 2 * np.sqrt(cell.area_px / np.pi)


# -- on disk


def test_files_are_laid_out_as_the_archive(written):
    assert len(written.fields) == 6
    assert {path.name for path in written.images.iterdir()} == {
        f"{field}_w{channel}.TIF" for field in written.fields for channel in (1, 2, 3)
    }
    assert {path.name for path in written.composites.iterdir()} == {f"{field}.jpg" for field in written.fields}
    assert {path.name for path in written.masks.iterdir()} == set(written.fields)
    assert {path.name for path in written.masks.glob("*/*")} == {"fed", "unfed", "Unidentified"}
    for field in written.fields:
        assert parse_field(field).well is not None
        raw = [tifffile.imread(written.images / f"{field}_w{channel}.TIF") for channel in (1, 2, 3)]
        assert all(plane.shape == (192, 192) and plane.dtype == np.uint16 for plane in raw)
        assert read_image(written.composites / f"{field}.jpg").shape == (192, 192, 3)


def test_masks_are_full_field_colour_and_match_the_tables(written):
    cells = pd.read_csv(written.truth / "cells.csv")
    assert written.cells == len(cells) == len(list(written.masks.rglob("*.png")))
    for field, rows in cells.groupby("field"):
        on_top = np.zeros((192, 192), int)
        for row in rows.sort_values("label").to_dict("records"):
            image = cv2.imread(str(written.masks / field / row["class"] / f"{field}_{row['label']}.png"), -1)
            assert image.shape == (192, 192, 3)
            assert image.dtype == np.uint8
            mask = image.any(axis=2)
            ys, xs = np.nonzero(mask)
            assert (mask.sum(), ys.mean(), xs.mean()) == pytest.approx((row["area_px"], row["y"], row["x"]), abs=1e-3)
            on_top[mask] = row["label"]
        np.testing.assert_array_equal(read_labels(written.truth / f"{field}_labels.tif"), on_top)


def test_three_fields_fill_the_published_splits(written):
    wells = [parse_field(field).well for field in written.fields[::2]]
    assert wells == ["C05", "I06", "C03"]  # train, valid (ST_I06), test (ST_C03)


def test_six_fields_cover_all_wells_then_come_further_sites():
    from cellular.simulate.field import field_name

    names = [parse_field(field_name(position, 1)) for position in range(7)]
    assert {name.well for name in names} == {"C03", "C05", "C06", "I04", "I06", "K07"}
    assert (names[6].well, names[6].site) == (names[0].well, 2)


def test_same_seed_same_bytes_other_seed_other_cells(written, tmp_path):
    again = simulate(tmp_path / "again", SMALL)
    assert digests(again.folder) == digests(written.folder)
    other = simulate_field(replace(SMALL, seed=6))
    assert not np.array_equal(other.channels, simulate_field(SMALL).channels)


def test_a_field_does_not_depend_on_how_many_are_asked_for(written):
    alone = simulate_field(replace(SMALL, fields=1, timepoints=1), position=1)
    raw = tifffile.imread(written.images / f"{alone.name}_w2.TIF")
    np.testing.assert_array_equal(alone.channels[1], raw)


def test_folder_in_use_is_refused_and_untouched(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(OutputExistsError, match="not an empty folder"):
        simulate(tmp_path, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_empty_folder_is_used(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    result = simulate(out, replace(SMALL, fields=1, timepoints=1, cells_per_field=2))
    assert (out / "truth" / "simulation.json").is_file()
    assert len(result.fields) == 1


def test_interrupted_run_leaves_nothing(tmp_path, monkeypatch):
    write_field, done = simulate_module.write_field, []

    def interrupted(folder, field):
        if done:
            raise KeyboardInterrupt
        done.append(field.name)
        write_field(folder, field)

    monkeypatch.setattr(simulate_module, "write_field", interrupted)
    with pytest.raises(KeyboardInterrupt):
        simulate(tmp_path / "out", SMALL)
    assert done
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fields", 0),
        ("size_px", 10),
        ("timepoints", 0),
        ("seed", -1),
        ("cells_per_field", 0),
        ("diameter_px", 2),
        ("unidentified_share", 1.5),
        ("division_rate", -0.1),
        ("motion_diameters", 2),
    ],
)
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(SettingsError, match=f"{name} is {value}"):
        SimulationSettings(**{name: value})


# -- the cells


def test_density_is_that_of_the_real_fields():
    assert SimulationSettings().real_density_count == 260
    assert SimulationSettings(size_px=1024).real_density_count == 65
    assert SimulationSettings(size_px=1024, diameter_px=60.5).real_density_count == 260


def test_cells_have_the_asked_count_and_diameter_with_a_wide_spread(crowd):
    for field in crowd.values():
        assert len(field.cells) == 140
    edge = 25
    inner = [c for f in crowd.values() for c in f.cells if edge < c.y < 512 - edge and edge < c.x < 512 - edge]
    diameters = np.array([equivalent_diameter(cell) for cell in inner])
    assert diameters.mean() == pytest.approx(40, rel=0.12)
    assert diameters.std() / diameters.mean() > 0.2


def test_cells_touch_and_overlap(crowd):
    for field in crowd.values():
        covered = np.zeros((512, 512), int)
        for cell in field.cells:
            y0, x0, y1, x1 = cell.box
            covered[y0:y1, x0:x1] += cell.mask
        assert 0.02 < (covered > 1).mean() < 0.35
        labels = field.labels()
        beside = (labels[:, 1:] != labels[:, :-1]) & (labels[:, 1:] > 0) & (labels[:, :-1] > 0)
        assert beside.any()


def test_boxes_are_tight(crowd):
    for cell in crowd["fed"].cells:
        assert cell.mask.any(axis=1)[[0, -1]].all()
        assert cell.mask.any(axis=0)[[0, -1]].all()
        assert cell.mask.shape == (cell.box[2] - cell.box[0], cell.box[3] - cell.box[1])


def test_expression_is_broad_with_saturation_and_dim_cells(crowd):
    expression = np.array([cell.expression for field in crowd.values() for cell in field.cells])
    assert np.percentile(expression, 95) > 20 * np.percentile(expression, 5)
    for field in crowd.values():
        saturated = (field.composite()[:, :, :2] == 255).mean()
        assert 0.01 < saturated < 0.2
        assert (field.channels[:2] < 65535).mean() > 0.98


def test_classes_follow_state_and_wells():
    fed, starved = (
        [c for seed in range(4) for c in simulate_field(replace(SMALL, seed=seed, cells_per_field=60), well).cells]
        for well in (0, 1)
    )
    for cell in fed + starved:
        assert cell.class_name in ({True: "unfed", False: "fed"}[cell.activated], "Unidentified")
    assert np.mean([cell.activated for cell in fed]) < 0.2
    assert np.mean([cell.activated for cell in starved]) > 0.6
    assert np.mean([cell.class_name == "Unidentified" for cell in fed + starved]) == pytest.approx(0.2, abs=0.06)


# -- the puncta


def test_starved_cells_have_more_puncta_and_more_red_only(crowd):
    share, per_cell = {}, {}
    for treatment, field in crowd.items():
        share[treatment] = (field.puncta["kind"] == "red_only").mean()
        per_cell[treatment] = len(field.puncta) / len(field.cells)
    assert share["starved"] > share["fed"] + 0.25
    assert per_cell["starved"] > 1.3 * per_cell["fed"]


def test_puncta_lie_in_their_cells(crowd):
    for field in crowd.values():
        masks = {cell.label: cell for cell in field.cells}
        for row in field.puncta.itertuples():
            cell = masks[row.cell]
            y, x = round(row.y) - cell.box[0], round(row.x) - cell.box[1]
            assert cell.mask[np.clip(y, 0, cell.mask.shape[0] - 1), np.clip(x, 0, cell.mask.shape[1] - 1)]


def test_puncta_are_in_the_image_as_tabulated():
    """Peak minus a ring around it, over the amplitude that a sampled Gaussian leaves above the same ring."""
    field = simulate_field(SimulationSettings(size_px=640, seed=2, cells_per_field=26), 1)
    table = field.puncta[(field.puncta["sigma"] < 2.6) & ~field.puncta["saturated"]]
    found = {kind: [] for kind in ("yellow", "red_only")}
    for row in table.itertuples():
        y, x, reach = round(row.y), round(row.x), round(3 * row.sigma)
        if row.kind not in found or min(y, x) < reach + 1 or max(y, x) > 638 - reach:
            continue
        ring = np.array([(reach, 0), (-reach, 0), (0, reach), (0, -reach)]) + (y, x)
        above = field.channels[:2, y, x] - np.median(field.channels[:2, ring[:, 0], ring[:, 1]], axis=1)
        drop = np.exp(-((row.y - y) ** 2 + (row.x - x) ** 2) / (2 * row.sigma**2))
        found[row.kind].append(above / (drop * np.array([row.amplitude, row.amplitude_mrfp])))
    yellow, red_only = np.array(found["yellow"]), np.array(found["red_only"])
    assert len(yellow) > 15
    assert len(red_only) > 50
    assert np.median(red_only[:, 1]) == pytest.approx(1, abs=0.1)
    assert np.median(yellow[:, 1]) == pytest.approx(1, abs=0.15)
    assert abs(np.median(red_only[:, 0])) < 0.15  # quenched: next to nothing in green


# -- the series


@pytest.fixture(scope="module")
def series():
    settings = SimulationSettings(
        size_px=256, diameter_px=26, timepoints=5, seed=3, cells_per_field=60, division_rate=0.12
    )
    return list(simulate_series(settings, 1))


def test_tracks_are_unbroken_and_move_little(series):
    seen: dict[int, list] = {}
    for field in series:
        labels = [cell.label for cell in field.cells]
        assert labels == list(range(1, len(labels) + 1))
        for cell in field.cells:
            seen.setdefault(cell.track, []).append((field.timepoint, cell))
    steps = []
    for track in seen.values():
        times = [timepoint for timepoint, _ in track]
        assert times == list(range(times[0], times[0] + len(times)))
        states = [cell.activated for _, cell in track]
        assert states == sorted(states)  # once activated, activated
        steps += [np.hypot(b.y - a.y, b.x - a.x) for (_, a), (_, b) in pairwise(track)]
    assert 0 < np.median(steps) < 0.2 * 26


def test_division_ends_the_parent_and_starts_two_daughters_beside_it(series):
    places = {(field.timepoint, cell.track): cell for field in series for cell in field.cells}
    last = {track: max(t for t, k in places if k == track) for _, track in places}
    divided = 0
    for (timepoint, track), cell in places.items():
        if not cell.parent or (timepoint - 1, track) in places:
            continue
        assert last[cell.parent] == timepoint - 1
        parent = places[timepoint - 1, cell.parent]
        assert np.hypot(cell.y - parent.y, cell.x - parent.x) < 26
        sisters = {other.track for other in places.values() if other.parent == cell.parent}
        assert len(sisters) <= 2
        divided += len(sisters) == 2
    assert divided >= 4


def test_starved_cells_activate_over_time(series):
    shares = [np.mean([cell.activated for cell in field.cells]) for field in series]
    assert shares[-1] > shares[0]


def test_tracks_table_says_the_same(written):
    tracks = pd.read_csv(written.truth / "tracks.csv")
    cells = pd.read_csv(written.truth / "cells.csv")
    assert list(tracks.columns) == ["series", "track", "timepoint", "field", "cell", "parent", "y", "x", "state"]
    joined = tracks.merge(cells, left_on=["field", "cell"], right_on=["field", "label"])
    assert len(joined) == len(tracks) == len(cells)
    assert (joined["track_x"] == joined["track_y"]).all()
    assert set(tracks["timepoint"]) == {1, 2}


def test_puncta_table_names_cells_of_the_field(written):
    puncta = pd.read_csv(written.truth / "puncta.csv")
    cells = pd.read_csv(written.truth / "cells.csv")
    assert written.puncta == len(puncta)
    assert set(puncta["kind"]) <= {"yellow", "red_only", "green_only"}
    assert set(zip(puncta["field"], puncta["cell"])) <= set(zip(cells["field"], cells["label"]))
    np.testing.assert_allclose(puncta["amplitude"], puncta[["amplitude_egfp", "amplitude_mrfp"]].max(axis=1))
