"""Opening runs and plates to look at, and the commands that a run tells of itself."""

import os
import shutil

import pytest

from cellular.cli.main import main
from cellular.data.find import find_plate
from cellular.data.plate import FieldFiles, Plate, Source
from cellular.errors import InputError, MissingInputError
from cellular.jobs.corrections import FieldCorrections, open_corrections
from cellular.jobs.measure import measure
from cellular.jobs.segment import segment
from cellular.jobs.simulate import simulate
from cellular.jobs.view import open_run
from cellular.segment.model.network import build_network
from cellular.segment.model.registry import ModelInfo, save_model
from cellular.segment.settings import SegmentSettings
from cellular.simulate.settings import SimulationSettings


@pytest.fixture
def made(tmp_path):
    return simulate(tmp_path / "sim", SimulationSettings(fields=2, size_px=96, diameter_px=24, cells_per_field=5))


def test_a_measured_run_is_opened_and_told_how_to_be_measured_again(made, tmp_path, capsys):
    measure(made.images, made.truth, tmp_path / "out", overlays=0)
    run = open_run(tmp_path / "out")
    assert (run.verb, len(run.plate), sorted(run.tables)) == ("measure", 2, ["cells", "images", "puncta"])
    assert all(item.labels.parent == made.truth for item in run.plate.fields)
    item = run.plate.fields[1]
    from cellular.data.image import load_labels

    corrected = FieldCorrections(run.corrections, item.name, load_labels(item))
    corrected.do("check")
    assert run.unmeasured() == []
    corrected.do("delete", cells=[1])
    assert run.unmeasured() == [item.name]
    corrected.undo()
    assert run.unmeasured() == []
    corrected.redo()
    before = {p.parent.name: p.stat().st_mtime_ns for p in run.folder.glob("fields/*/cells.csv")}
    assert main([*run.again(), "--overlays", "0"]) == 0, "the same settings: else the run would be refused"
    assert "1 deleted" in capsys.readouterr().out
    after = {p.parent.name: p.stat().st_mtime_ns for p in run.folder.glob("fields/*/cells.csv")}
    assert {name for name in before if before[name] != after[name]} == {item.name}
    run = open_run(tmp_path / "out")
    assert run.unmeasured() == []
    table = tmp_path / "out" / "cells.parquet"
    with open(tmp_path / "out" / "cells.csv", "ab") as file:
        file.write(b"1,")  # a command is writing it anew: every stroke raised, once it was saved
    assert run.unmeasured() == []
    os.utime(table, (0, 0))  # of before a stroke that changes the shape alone of a cell that was changed already
    assert run.unmeasured() == [item.name]


def test_a_measured_run_is_measured_again_with_the_options_that_it_was_given(made, tmp_path):
    """Without its plate map the tables of the whole run lost what wells were given."""
    (tmp_path / "map.csv").write_text("well,treatment\n" + "".join(f"{w},{w}-drug\n" for w in _wells(made)))
    how = ["--plate_map", str(tmp_path / "map.csv"), "--overlays", "0"]
    assert main(["measure", str(made.images), str(made.truth), "--out", str(tmp_path / "out"), *how]) == 0
    run = open_run(tmp_path / "out")
    from cellular.data.image import load_labels

    item = run.plate.fields[1]
    FieldCorrections(run.corrections, item.name, load_labels(item)).do("delete", cells=[1])
    before = run.tables["cells"]
    assert main(run.again()) == 0
    after = open_run(tmp_path / "out").tables["cells"]
    assert list(after) == list(before)
    assert (after["treatment"] == after["well"] + "-drug").all()
    assert len(after) == len(before) - 1


def test_a_run_from_python_that_no_record_tells_all_of_is_not_measured_again(made, tmp_path):
    (tmp_path / "map.csv").write_text("well,treatment\n" + "".join(f"{w},drug\n" for w in _wells(made)))
    plate = find_plate(made.images, plate_map=tmp_path / "map.csv")
    measure(plate, made.truth, tmp_path / "out", overlays=0)
    assert open_run(tmp_path / "out").again() is None


def _wells(made):
    return [item.well for item in find_plate(made.images).fields]


def test_a_segmented_folder_is_a_run(made, tmp_path):
    save_model(tmp_path / "model", build_network(width=2), ModelInfo())
    segment(made.composites, tmp_path / "out", tmp_path / "model", SegmentSettings(diameter=24, augment=False))
    run = open_run(tmp_path / "out")
    assert (run.verb, run.again()) == ("segment", None)
    assert [item.labels.name for item in run.plate.fields] == [f"{item.name}_masks.tif" for item in run.plate.fields]
    assert {"field", "label", "area"} <= set(run.tables["cells"])


def test_a_bare_plate_writes_nothing_until_it_is_corrected(made, tmp_path):
    run = open_run(made.images)
    assert (run.verb, run.again(), run.corrected()) == (None, None, None)
    assert run.folder == made.images.resolve().with_name("images_view")
    assert not run.folder.exists()
    FieldCorrections(run.corrections, run.plate.fields[0].name, 0 * _shape(made)).do(
        "draw", polygon=[(1, 1), (9, 1), (9, 9)]
    )
    assert open_corrections(run.corrections).fields == (run.plate.fields[0].name,)
    assert run.words()[:3] == [str(made.images), "--corrections", str(run.corrections)]


def _shape(made):
    from cellular.data.formats.images import read_labels

    return read_labels(next(made.truth.glob("*_labels.tif")))


def test_images_that_have_moved_are_asked_for(made, tmp_path):
    measure(made.images, made.truth, tmp_path / "out", overlays=0)
    shutil.move(made.images, tmp_path / "elsewhere")
    with pytest.raises(MissingInputError, match="--images"):
        open_run(tmp_path / "out")
    assert open_run(tmp_path / "out", tmp_path / "elsewhere").plate.folder == tmp_path / "elsewhere"


def test_images_go_with_a_run(made, tmp_path):
    with pytest.raises(InputError, match="is no run"):
        open_run(made.images, tmp_path)


def test_what_a_run_was_told_of_its_plate_is_kept_when_its_images_move(made, tmp_path):
    """Roles given by hand and a map beside: found anew by names alone, both would be other than the run's."""
    (tmp_path / "map.csv").write_text("plate,well,treatment\nST,C05,DMSO\n")
    plate = find_plate(made.images, channels=["DNA=w3"], plate_map=tmp_path / "map.csv", pixel_size_um=0.5)
    measure(plate, made.truth, tmp_path / "out", overlays=0)
    shutil.move(made.images, tmp_path / "elsewhere")
    opened = open_run(tmp_path / "out", tmp_path / "elsewhere").plate
    first = opened.fields[0]
    assert first.roles == ("mRFP", "EGFP", "DNA")
    assert first.pixel_size_um == 0.5
    assert {path.parent for path in first.images} == {tmp_path / "elsewhere"}
    assert all(path.is_file() for path in first.images)
    assert opened.given(first) == {"treatment": "DMSO"}


def test_what_is_to_be_ignored_moves_with_the_images(tmp_path):
    source = Source("w1", "", None, ((tmp_path / "here" / "a.tif", 0),))
    plate = Plate(tmp_path / "here", "plain", (FieldFiles("a", (source,), ignore=tmp_path / "here" / "a_ignore.png"),))
    assert plate.moved_to(tmp_path / "new").fields[0].ignore == tmp_path / "new" / "a_ignore.png"


def test_images_that_lay_elsewhere_cannot_be_told_to_have_moved(tmp_path):
    source = Source("w1", "", None, ((tmp_path / "other" / "a.tif", 0),))
    plate = Plate(tmp_path / "here", "plain", (FieldFiles("a", (source,)),))
    with pytest.raises(InputError, match="did not lie in"):
        plate.moved_to(tmp_path / "new")
