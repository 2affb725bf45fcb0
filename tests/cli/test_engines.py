"""The verbs on fields by every engine, at the command line: the same bytes as here."""

import json
import os
import shutil
from contextlib import nullcontext
from functools import cache, partial
from pathlib import Path

import pytest
from distributed import LocalCluster

from cellular.cli.engines import size
from cellular.cli.main import main
from cellular.errors import OutputExistsError
from cellular.files import LOCK
from cellular.jobs.export import _note
from cellular.jobs.prepare import PrepareSettings, prepare
from cellular.jobs.processes import Processes
from cellular.jobs.runner import RECORD, held
from cellular.jobs.shards import Shard
from cellular.jobs.simulate import simulate
from cellular.simulate.settings import SimulationSettings

VERBS = ("segment", "measure", "quality", "track", "analyse", "prepare", "evaluate", "evaluate labels", "export")
NETWORKS, LONG = ("analyse", "evaluate"), pytest.mark.long


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two positions at two timepoints, 96 px."""
    folder = tmp_path_factory.mktemp("made")
    settings = SimulationSettings(fields=2, timepoints=2, size_px=96, diameter_px=24, cells_per_field=6)
    made = simulate(folder / "plate", settings)
    prepare(made.folder, folder / "prepared", PrepareSettings(overlap="smallest"))
    return folder


@pytest.fixture(scope="module")
def scheduler():
    """Address of a Dask cluster of two workers."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def processes():
    with Processes(2) as engine:
        yield engine


@pytest.fixture(scope="module")
def here(made, tmp_path_factory):
    """What a verb makes in this process, done when it is first asked for."""
    out = tmp_path_factory.mktemp("here")

    @cache
    def make(verb):
        folder = out / verb.replace(" ", "_")  # a page quotes a command's words that have spaces
        assert main(command(verb, made, folder)) == 0
        return tree(folder)

    return make


def command(verb, made, out, *more):
    images, truth = made / "plate" / "images", made / "plate" / "truth"
    prepared = made / "prepared" / "all" / "train"
    model = ("--diameter", 24, "--augment", "no", "--device", "cpu")
    score = ("--test_dir", prepared, "--output_dir", out)
    sizes = ("--min_sigma", 1, "--max_sigma", 3)
    words = {
        "segment": [made / "plate" / "images-color", *model, "--out", out],
        "measure": [images, truth, *sizes, "--out", out],
        "quality": [images, "--labels", truth, "--out", out],
        "track": [truth, "--out", out],
        "analyse": [images, *model, *sizes, "--overlays", 1, "--out", out],
        "prepare": ["-i", made / "plate", "-o", out, "-v", "", "-t", ""],
        "evaluate": [*score, "--model_type", "starter", *model],
        "evaluate labels": [*score, "--labels", prepared],
        "export": [prepared, "--to", "coco", "--out", out],
    }
    return [str(word) for word in (verb.split()[0], *words[verb], *more)]


def tree(folder):
    """Every file by its bytes, but for the folder's own name and for what says of what files it was made, and when."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(LOCK)]
    files = [path for path in files if path.name != RECORD]
    return {str(path.relative_to(folder)): path.read_bytes().replace(str(folder).encode(), b"OUT") for path in files}


def differing(one, other):
    return {name for name in {*one, *other} if one.get(name) != other.get(name)}


# Networks are left to the long checks, and are done by shards here.
@pytest.mark.parametrize(
    "verb", ["measure", "track", "prepare", "export", *(pytest.param(v, marks=LONG) for v in NETWORKS)]
)
def test_workers_make_the_same(verb, made, here, processes, tmp_path, monkeypatch):
    """Those of one engine, which keeps them: they have done other work before."""
    monkeypatch.setattr("cellular.jobs.processes.Processes", lambda workers, **_: {2: nullcontext(processes)}[workers])
    assert main(command(verb, made, tmp_path / "out", "--workers", 2)) == 0
    assert differing(tree(tmp_path / "out"), here(verb)) == set()


# What a worker does is the same as above; whole plates on Dask are left to the long checks.
@pytest.mark.parametrize("verb", ["measure", "prepare", "export", *(pytest.param(v, marks=LONG) for v in NETWORKS)])
def test_dask_makes_the_same(verb, made, here, scheduler, tmp_path):
    assert main(command(verb, made, tmp_path / "out", "--dask", scheduler)) == 0
    assert differing(tree(tmp_path / "out"), here(verb)) == set()


@pytest.mark.parametrize("verb", VERBS)
def test_shards_make_the_same(verb, made, here, tmp_path):
    for index in (2, 1):
        assert main(command(verb, made, tmp_path / "out", "--shard", f"{index}/2")) == 0
    assert main(["gather", str(tmp_path / "out")]) == 0
    assert differing(tree(tmp_path / "out"), here(verb)) == set()


def test_gather_says_what_is_missing(made, tmp_path, monkeypatch, capsys):
    """Run from where the shard was told relative paths, joined from elsewhere."""
    monkeypatch.chdir(made)
    words = ["quality", "plate/images", "--out", os.path.relpath(tmp_path / "out")]
    assert main([*words, "--shard", "1/2"]) == 0
    assert "shard 1/2: 2 done" in capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    assert main(["gather", "out"]) == 2
    assert "2 are missing" in (said := capsys.readouterr().err)
    assert "shard 2/2 has not finished" in said
    assert not (tmp_path / "out" / "quality.csv").exists()
    assert main(["gather", "out", "--partial"]) == 1
    assert "no shard has done it" in capsys.readouterr().out
    monkeypatch.chdir(made)
    assert main([*words, "--shard", "2/2"]) == 0
    monkeypatch.chdir(tmp_path)
    assert main(["gather", "out"]) == 0
    assert Path.cwd() == tmp_path
    assert not (tmp_path / "out" / ".shards").exists()
    assert main(["gather", "out"]) == 2
    assert "holds no shards" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--workers", "2", "--dask", "tcp://host:1"], "--dask and --workers: give one kind"),
        (["--workers", "0"], "workers and threads are 1 or more"),
        (["--cluster", "none.yaml"], "No such file: none.yaml"),
        (["--shard", "5/4"], "I from 1 to N"),
    ],
)
def test_engines_that_cannot_be_are_refused(words, said, made, tmp_path, capsys):
    assert main(command("quality", made, tmp_path / "out", *words)) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_where_it_is_done_is_no_setting(made, tmp_path):
    """A run begun by one engine goes on by another; --config files do not name them."""
    words = command("measure", made, tmp_path / "out")
    main([*words, "--shard", "1/2"])
    assert main([*words, "--memory", "4GB"]) == 0
    assert "workers" not in (tmp_path / "out" / "measure.toml").read_text()
    assert "workers" not in json.loads((tmp_path / "out" / "measure.json").read_text())


def test_what_is_written_in_one_place_takes_no_engine(made, tmp_path, capsys):
    words = ["export", "starter", "--to", "onnx", "-o", str(tmp_path / "a.onnx"), "--workers", "2"]
    assert main(words) == 2
    assert "a model is written in one place" in capsys.readouterr().err
    plate = ["export", str(made / "plate" / "images"), "--to", "ome-zarr", "--is_plate", "-o", str(tmp_path / "out")]
    assert main([*plate, "--shard", "1/2"]) == 2
    assert "a plate's store is written in one place" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_shard_leaves_the_problems_of_others_alone(made, tmp_path, capsys):
    """A field that another shard could not prepare stays as it told it; joined, nothing is done again."""
    shutil.copytree(made / "plate" / "masks", tmp_path / "in" / "masks")
    shutil.copytree(made / "plate" / "images-color", tmp_path / "in" / "images-color")
    field = sorted((tmp_path / "in" / "masks").iterdir())[0]
    next(field.rglob("*.png")).write_bytes(b"")
    words = ["prepare", "-i", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "-v", "", "-t", ""]
    assert main([*words, "--shard", "1/2"]) == 0
    record = tmp_path / "out" / ".prepare" / "fields" / field.name / RECORD
    written = record.stat().st_mtime_ns
    assert main([*words, "--shard", "2/2"]) == 0
    assert main(["gather", str(tmp_path / "out")]) == 1
    assert "is empty" in capsys.readouterr().out
    assert record.stat().st_mtime_ns == written


def test_shards_of_other_labels_are_refused(tmp_path):
    with held(tmp_path / "out", Shard(1, 2), partial(_note, tmp_path / "out" / ".export" / "coco" / "c.json", ["fed"])):
        with pytest.raises(OutputExistsError, match="shards of other labels"):
            with held(
                tmp_path / "out", Shard(2, 2), partial(_note, tmp_path / "out" / ".export" / "coco" / "c.json", ["a"])
            ):
                pass


def test_sizes():
    assert [size(text) for text in ("512MB", "1.5 GB", "2GiB", "4G")] == [512e6, 1.5e9, 2**31, 4e9]
