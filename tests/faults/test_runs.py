"""Two runs at once, records that are damaged, inputs that change: nothing of it passes for a result."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from cellular.errors import InputError, MissingInputError, OutputError, OutputExistsError, WeightsError
from cellular.files import LOCK, alone_in, empty_folder, read_json, whole_file, write_json
from cellular.jobs.runner import Work, claimed, each
from cellular.jobs.train import _check_folder, _delete
from cellular.segment.model.network import build_network
from cellular.segment.model.registry import load_model
from cellular.train.loop import RUN
from cellular.train.samples import cached_flows


@dataclass(frozen=True)
class Item:
    name: str
    path: Path


@pytest.fixture
def items(tmp_path):
    """Three files, each holding its number."""
    made = [Item(f"f{n}", tmp_path / f"f{n}.txt") for n in range(3)]
    for n, item in enumerate(made):
        item.path.write_text(str(n))
    return made


def doing(done, change=None):
    """Work that tells the number in each file, and notes in `done` whose it was asked for."""

    def do(item):
        done.append(item.name)
        value = int(item.path.read_text())
        if change == item.name:
            item.path.write_text("100")
        return {"numbers": pd.DataFrame({"field": [item.name], "value": [value]})}

    return Work(do, lambda item: [item.path])


def test_a_folder_is_written_by_one_at_a_time(tmp_path):
    out = tmp_path / "out"
    with claimed(out, "job", {}):
        with pytest.raises(OutputExistsError, match="being written by another command"):
            with claimed(out, "job", {}):
                pass
    assert not (out / LOCK).exists()
    with claimed(out, "job", {}):
        pass


def test_a_folder_in_which_nothing_came_to_be_written_is_taken_away(tmp_path):
    with pytest.raises(InputError), alone_in(tmp_path / "new"):
        raise InputError("a wrong word")
    assert list(tmp_path.iterdir()) == []


def test_leftovers_are_nobodys_and_are_swept(tmp_path):
    out = tmp_path / "out"
    (out / "deep").mkdir(parents=True)
    for path in (out / ".partial-a.csv", out / "deep" / ".partial-b.json", out / LOCK):
        path.write_text("half")
    (out / "deep").rename(out / ".partial-deep")  # the folder itself too
    with claimed(out, "job", {"a": 1}):
        assert sorted(path.name for path in out.iterdir()) == [LOCK, "job.json"]


def test_a_shallow_sweep_spares_what_lies_deeper(tmp_path):
    (tmp_path / "other").mkdir()
    for path in (tmp_path / ".partial-a", tmp_path / "other" / ".partial-b"):
        path.write_text("half")
    with alone_in(tmp_path, deep=False):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["other", ".partial-b"]


@pytest.mark.parametrize("record", ["", "{", "\x00\x00"])
def test_a_damaged_claim_is_named_with_the_remedy(tmp_path, record):
    (tmp_path / "job.json").write_text(record)
    write_json(tmp_path / "fields" / "f0" / "made_of.json", {"inputs": [], "tables": []})
    with pytest.raises(OutputExistsError, match=r"job\.json.*delete that folder, or choose another output folder"):
        with claimed(tmp_path, "job", {}):
            pass


@pytest.mark.parametrize("record", ["", "[]", "{}", '{"tables": 3, "inputs": []}', '{"tables": [1], "inputs": []}'])
def test_an_item_with_a_damaged_record_is_done_again(items, tmp_path, record):
    done = []
    each(items, tmp_path, doing(done), desc="")
    (tmp_path / "fields" / "f1" / "made_of.json").write_text(record)
    result = each(items, tmp_path, doing(done), desc="")
    assert done == ["f0", "f1", "f2", "f1"]
    assert result.tables["numbers"]["value"].tolist() == [0, 1, 2]


def test_an_input_that_changes_while_it_is_read_is_no_result(items, tmp_path):
    done = []
    result = each(items, tmp_path, doing(done, change="f1"), desc="")
    assert result.tables["numbers"]["value"].tolist() == [0, 2]
    assert "changed while" in result.problems["f1"]
    again = each(items, tmp_path, doing(done), desc="")
    assert again.tables["numbers"]["value"].tolist() == [0, 100, 2]
    assert done == ["f0", "f1", "f2", "f1"]


def test_a_disk_that_cannot_be_written_to_stops_the_run_a_long_name_does_not(items, tmp_path, monkeypatch):
    done = []

    def long_name(item):
        done.append(item.name)
        with whole_file(tmp_path / ("x" * 300)) as path:
            path.write_text("")

    result = each(items, tmp_path, Work(long_name, lambda item: [item.path]), desc="")
    assert (len(result.problems), done) == (3, ["f0", "f1", "f2"])

    def full(item):
        done.append(item.name)
        with whole_file(tmp_path / "out.csv"):
            raise OSError(28, os.strerror(28))

    with pytest.raises(OutputError, match=r"out\.csv cannot be written: No space left"):
        each(items, tmp_path, Work(full, lambda item: [item.path]), desc="")
    assert len(done) == 4


def test_training_killed_before_its_first_checkpoint_starts_again(tmp_path):
    folder = tmp_path / "e"
    with pytest.raises(MissingInputError, match="start without --resume"):
        _check_folder(folder, resume=True)
    write_json(folder / RUN, {})
    (folder / ".partial-x.json").write_text("")
    assert [_check_folder(folder, resume) for resume in (False, True)] == [False, False]
    (folder / "checkpoint.pt").write_text("")
    assert _check_folder(folder, resume=True)
    with pytest.raises(OutputExistsError, match="--resume continues it"):
        _check_folder(folder, resume=False)
    assert not _check_folder(folder, resume=False, force=True)
    _delete(folder)
    assert list(folder.iterdir()) == []


def test_somebody_elses_folder_is_no_experiment(tmp_path):
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "thesis.txt").write_text("years of work")
    for force in (False, True):
        with pytest.raises(OutputExistsError):
            _check_folder(tmp_path / "e", False, force)
    assert (tmp_path / "e" / "thesis.txt").is_file()


def test_what_tells_the_owner_goes_last(tmp_path, monkeypatch):
    for name in ("a.json", "mark.json", "z.json"):
        write_json(tmp_path / name, 1)
    order = []
    monkeypatch.setattr(Path, "unlink", lambda path, missing_ok=False: order.append(path.name))
    empty_folder(tmp_path, "mark.json")
    assert order[-1] == "mark.json"
    assert sorted(order) == ["a.json", "mark.json", "z.json"]
    assert read_json(tmp_path / "mark.json") == 1


def test_a_package_on_a_read_only_disk_and_no_home(tmp_path):
    """numba then has no place for its cache; what is compiled works all the same."""
    code = (
        "import numba.core.caching as caching; caching.CacheImpl._locator_classes = []\n"
        "import numpy as np; from cellular.labels.enlarge import enlarge_labels\n"
        "from cellular.track.costs import cells_of\n"
        "print(cells_of(np.array([[0, 7, 7], [0, 0, 3]])).areas.tolist())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "[1, 2]\n", done.stderr


def test_a_cache_that_cannot_be_written_to_costs_time_alone(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CELLULAR_CACHE", str(tmp_path / "file" / "cache"))
    labels = np.zeros((16, 16), np.uint16)
    labels[4:9, 4:9] = 1
    assert cached_flows(labels).shape == (2, 16, 16)
    assert "CELLULAR_CACHE names another folder" in caplog.text


@pytest.mark.parametrize("key", ["diam_mean", "diam_labels"])
@pytest.mark.parametrize("value", [[0.0], [-3.0], [float("nan")], [float("inf")], [1e30], [1.0, 2.0], []])
def test_a_model_with_an_impossible_diameter_is_refused(tmp_path, key, value):
    torch.save({**build_network(width=2).state_dict(), key: torch.tensor(value)}, tmp_path / "model")
    with pytest.raises(WeightsError, match=rf"model (says|holds|does not fit).*({key}|not finite)"):
        load_model(tmp_path / "model")


def test_weights_of_a_wrong_shape_are_named(tmp_path):
    state = build_network(width=2).state_dict()
    key = "upsample.up.res_up_1.conv.conv_0.2.bias"
    for shape in ((0,), (3, 3)):
        torch.save({**state, key: torch.zeros(shape)}, tmp_path / "model")
        with pytest.raises(WeightsError, match=r"conv_0\.2\.bias has shape .* not \(4,\)|not \(8,\)"):
            load_model(tmp_path / "model")
