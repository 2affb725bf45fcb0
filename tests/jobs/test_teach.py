"""Teaching on corrected fields, on a network as small as will do."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import cellular
from cellular.cli.main import main
from cellular.data.find import find_plate
from cellular.data.formats.images import read_labels
from cellular.data.plate import FieldFiles
from cellular.errors import InputError
from cellular.jobs.corrections import FieldCorrections
from cellular.jobs.lessons import decide, helped, lessons, shares
from cellular.jobs.simulate import simulate
from cellular.jobs.teach import TeachSettings, corrected_diameter, teach
from cellular.segment.model.network import build_network
from cellular.segment.model.registry import ModelInfo, load_model, save_model
from cellular.segment.settings import SegmentSettings
from cellular.simulate.settings import SimulationSettings

# not the default: a model that lost what it knows of its channels would be given others
INFO = ModelInfo(channels=(1, 2))


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    folder = tmp_path_factory.mktemp("taught")
    made = simulate(folder / "sim", SimulationSettings(fields=3, size_px=96, diameter_px=24, cells_per_field=6))
    plate = find_plate(made.images, labels=made.truth)
    torch.manual_seed(0)  # of so narrow a network, some beginnings learn nothing
    save_model(folder / "model", build_network(width=2), INFO)
    for item in plate.fields:
        FieldCorrections(folder / "corrections", item.name, read_labels(item.labels)).do("check")
    small = TeachSettings()
    train = replace(small.train, n_epochs=1, fields_per_epoch=2, crop_size=32)
    settings = TeachSettings(str(folder / "model"), SegmentSettings(diameter=24, augment=False), train)
    return folder, plate, settings, teach(plate, folder / "corrections", folder / "000001", settings, "cpu")


def test_the_latest_field_is_held_out_and_never_learnt_from(taught):
    folder, plate, _, lesson = taught
    names = [item.name for item in plate.fields]
    assert (list(lesson.learnt), lesson.settled, list(lesson.held_out)) == (names[:2], (), names[2:])
    run = json.loads((folder / "000001" / "experiments" / "tuned" / "run.json").read_text())
    assert names[2] not in json.dumps(run)
    assert lesson.before.keys() == lesson.after.keys()
    assert [path.name for path in (folder / "000001" / "after" / "labels").glob("*_masks.tif")] == [
        f"{names[2]}_masks.tif"
    ]


def test_timepoints_of_a_position_are_never_on_both_sides():
    """What is learnt from at one time and held out at the next are the same cells."""

    def fields(**times):
        return [FieldFiles(f"{name}{t}", (), series=name, timepoint=t) for name, n in times.items() for t in range(n)]

    def names(**times):
        return [{item.series for item in part} for part in shares(fields(**times))]

    assert names(a=3, b=3, c=2) == [{"a", "b"}, set(), {"c"}]
    assert names(a=1, b=9) == [{"a"}, set(), {"b"}]
    assert names(a=6, b=6, c=4, d=4) == [{"a", "b"}, {"c"}, {"d"}]
    assert [len(part) for part in shares(fields(a=6, b=6, c=4, d=4))] == [12, 4, 4]
    with pytest.raises(InputError, match=r"5 corrected field\(s\) of 1 position"):
        shares(fields(a=5))


def test_a_run_of_given_outlines_is_taught_at_the_size_of_their_cells(taught, tmp_path):
    """The model's own size, 30 px here, would make the scores before the lesson those of a wrong scale."""
    folder, plate, settings, _ = taught
    sizes = []
    for item in plate.fields:
        _, areas = np.unique(read_labels(item.labels), return_counts=True)
        sizes.append(np.median(2 * np.sqrt(areas[1:] / np.pi)))
    assert corrected_diameter(plate, folder / "corrections") == pytest.approx(np.median(sizes))
    cellular.measure(plate.folder, plate.fields[0].labels.parent, tmp_path / "run")
    words = ["teach", tmp_path / "run", "--corrections", folder / "corrections", "--model", settings.model]
    words += ["--out", tmp_path / "lesson", "--n_epochs", 1, "--fields_per_epoch", 2, "--crop_size", 32]
    main([str(word) for word in words])
    for part in ("before", "after"):
        record = json.loads((tmp_path / "lesson" / part / "labels" / "segment.json").read_text())
        assert record["settings"]["diameter"] == pytest.approx(np.median(sizes))


def test_a_run_of_segment_is_taught_as_it_was_segmented(taught, tmp_path):
    """At the model's own size, 30 px here, the scores before the lesson would not be those of the run."""
    folder, plate, settings, _ = taught
    how = SegmentSettings(diameter=24, channels=(2, 1), cellprob_threshold=-9.0, min_size=5, augment=False)
    cellular.segment(plate.folder, tmp_path / "run", settings.model, how, device="cpu")
    for item in plate.fields:
        made = read_labels(tmp_path / "run" / f"{item.name}_masks.tif")
        FieldCorrections(tmp_path / "run" / "corrections", item.name, made).become(read_labels(item.labels))
    words = ["teach", tmp_path / "run", "--out", tmp_path / "lesson", "--n_epochs", 1, "--fields_per_epoch", 2]
    assert main([str(word) for word in [*words, "--crop_size", 32, "--device", "cpu"]]) == 0
    told = json.loads((tmp_path / "run" / "segment.json").read_text())
    for part in ("before", "after"):
        record = json.loads((tmp_path / "lesson" / part / "labels" / "segment.json").read_text())
        assert record["settings"] == told["settings"]


def test_a_finished_lesson_is_told_again(taught):
    folder, plate, settings, lesson = taught
    assert teach(plate, folder / "corrections", folder / "000001", settings, "cpu") == lesson


def test_what_is_kept_is_a_model_and_what_is_discarded_is_gone(taught, tmp_path):
    import shutil

    folder, _, _, lesson = taught
    for name in ("1", "2"):
        shutil.copytree(folder / "000001", tmp_path / name)
    kept = decide(tmp_path / "1", True, tmp_path / "models")
    info = load_model(kept).info
    assert replace(info, trained_on=()) == INFO, "with what it knows of its channels"
    assert len(info.trained_on) == len(lesson.learnt)
    assert decide(tmp_path / "2", False, tmp_path / "models") is None
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["1.safetensors"]
    assert {name: told["kept"] for name, told in lessons(tmp_path).items()} == {"1": True, "2": False}
    with pytest.raises(InputError, match="kept already"):
        decide(tmp_path / "1", False, tmp_path / "models")


def test_one_corrected_field_is_not_enough(taught, tmp_path):
    _, plate, settings, _ = taught
    first = plate.fields[0]
    FieldCorrections(tmp_path / "c", first.name, read_labels(first.labels)).do("check")
    with pytest.raises(InputError, match="1 corrected field"):
        teach(plate, tmp_path / "c", tmp_path / "out", settings, "cpu")
    assert not (tmp_path / "out").exists()


def test_a_model_that_is_worse_on_what_was_held_out_is_not_proposed():
    before = {"instance.0.50.f1": 0.9, "instance.mean_ap": 0.6}
    assert helped(before, {"instance.0.50.f1": 0.92, "instance.mean_ap": 0.6})
    assert not helped(before, before), "no better is no reason to change"
    assert not helped(before, {"instance.0.50.f1": 0.95, "instance.mean_ap": 0.3}), "outlines that fit worse"


def test_a_lesson_leaves_the_means_of_batch_normalisation_as_they_were(taught):
    """Five fields that look alike are no measure of what the model has learned from: see docs/view.md."""
    folder, *_, lesson = taught
    before, after = (load_model(path).network.state_dict() for path in (folder / "model", lesson.model))
    means = [name for name in before if name.endswith(("running_mean", "running_var"))]
    assert means
    assert all(before[name].equal(after[name]) for name in means)
    assert any(not before[name].equal(after[name]) for name in before if name.endswith("weight")), "it has learned"
