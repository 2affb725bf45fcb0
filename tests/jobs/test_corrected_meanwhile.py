"""Strokes on the live page while a command measures: what its tables tell is of one moment, or it says so."""

from importlib import import_module

import numpy as np
import pytest

from cellular.data.find import as_plate
from cellular.data.formats.images import write_labels
from cellular.data.image import load_labels
from cellular.data.plate import FieldFiles, Plate
from cellular.errors import InputError
from cellular.jobs.analyse import AnalyseSettings, analyse
from cellular.jobs.corrected_meanwhile import as_measured_by
from cellular.jobs.corrections import FieldCorrections, open_corrections
from cellular.jobs.measure import measure
from cellular.jobs.simulate import simulate
from cellular.simulate.settings import SimulationSettings

FIELD = np.array([[1, 1, 0, 2, 2], [1, 1, 0, 2, 2], [3, 3, 3, 3, 3]], np.uint16)


def strokes_on(folder, *names):
    return [FieldCorrections(folder, name, FIELD) for name in names]


def test_what_is_told_of_tables_is_of_what_was_measured(tmp_path):
    plate = Plate(
        tmp_path,
        "plain",
        tuple(FieldFiles(n, (), labels=write_labels(tmp_path / f"{n}_masks.tif", FIELD)) for n in "abc"),
    )
    first, second, third = strokes_on(tmp_path / "corrections", *"abc")
    first.do("delete", cells=[1])
    begun = open_corrections(tmp_path / "corrections")
    first.do("state", cells=[2], state="activated")
    third.do("state", cells=[3], state="basal")
    second.do("delete", cells=[1])
    second.do("state", cells=[2], state="basal")
    now = as_measured_by(begun, plate)
    assert now.states()[["field", "label", "state"]].to_numpy().tolist() == [["a", 2, "activated"], ["c", 3, "basal"]]
    assert now.table().to_numpy().tolist() == [["a", 0, 1]], "the other was measured by the outlines before"
    first.undo()
    first.undo()
    first.redo()  # as it was, and was not meanwhile
    with pytest.raises(InputError, match="a was corrected while the run measured it"):
        as_measured_by(begun, plate)
    assert as_measured_by(begun, Plate(tmp_path, "plain", plate.fields[1:])).table()["field"].tolist() == ["a"]
    assert as_measured_by(None, plate) is None


@pytest.mark.parametrize("verb", ["measure", "analyse"])
def test_corrected_before_it_was_read_a_field_has_no_count_of_earlier_strokes(tmp_path, monkeypatch, verb):
    """Its cells were those of two strokes, and `cells_deleted` told of one."""
    made = simulate(tmp_path / "sim", SimulationSettings(fields=1, size_px=96, diameter_px=24))
    plate = as_plate(made.images, made.truth)
    item = plate.fields[0]
    field = FieldCorrections(tmp_path / "corrections", item.name, load_labels(item))
    labels = [int(label) for label in np.unique(field.labels)[1:]]
    field.do("delete", cells=labels[:1])

    def run():
        if verb == "measure":
            return measure(plate, None, tmp_path / "out", overlays=0, corrections=tmp_path / "corrections")
        return analyse(
            made.images, tmp_path / "out", AnalyseSettings(overlays=0), labels=made.truth,
            corrections=tmp_path / "corrections",
        )  # fmt: skip

    room = import_module(f"cellular.jobs.{verb}")
    each_field = room.each_field

    def corrected_meanwhile(*args, **how):
        field.do("delete", cells=labels[1:2])
        return each_field(*args, **how)

    with monkeypatch.context() as patched:
        patched.setattr(room, "each_field", corrected_meanwhile)
        with pytest.raises(InputError, match="was corrected while the run measured it"):
            run()
    assert not list((tmp_path / "out").glob("images.*"))
    tables = run().tables
    assert tables["images"]["cells_deleted"].tolist() == [2]
    assert tables["cells"]["label"].tolist() == labels[2:]
