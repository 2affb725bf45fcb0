"""What napari is told of the plugin, and what it gets when it calls."""

import importlib
from pathlib import Path

import pytest

pytest.importorskip("npe2", reason="needs the extra napari")

import npe2

import cellular.napari
from cellular.napari.sample import simulated_field

MANIFEST = Path(cellular.napari.__file__).with_name("napari.yaml")
PROJECT = Path(__file__).parents[2] / "pyproject.toml"


@pytest.fixture(scope="module")
def manifest():
    return npe2.PluginManifest.from_file(MANIFEST)


def test_the_manifest_is_valid_and_its_commands_are_there(manifest, qtbot):
    manifest.validate_imports()
    for command in manifest.contributions.commands:
        module, name = command.python_name.split(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_the_package_says_where_the_manifest_is():
    text = PROJECT.read_text(encoding="utf-8")
    assert '[project.entry-points."napari.manifest"]\ncellular = "cellular.napari:napari.yaml"' in text
    assert '"**/*.yaml"' in text.split("[tool.setuptools.package-data]")[1].split("\n\n")[0]


def test_folders_are_read_and_files_are_left_to_others(manifest, qtbot, measured, tmp_path):
    from npe2 import PluginManager

    from cellular.napari.reader import get_reader

    own = PluginManager()
    own.register(manifest)
    assert [reader.command for reader in own.iter_compatible_readers([str(measured)])] == ["cellular.get_reader"]
    assert list(own.iter_compatible_readers([str(measured / "cells.csv")])) == []
    assert get_reader(str(measured / "cells.csv")) is None
    assert get_reader([str(measured)]) is None
    (tmp_path / "a.zarr").mkdir()
    assert get_reader(str(tmp_path / "a.zarr")) is None
    names = [about["name"] for _, about, _ in get_reader(str(measured))(str(measured))]
    assert names == ["mRFP", "EGFP", "transmitted", "cells", "puncta"]


def test_the_sample_is_a_field_with_its_truth():
    layers = {about["name"]: data for data, about, _ in simulated_field()}
    assert list(layers) == ["mRFP", "EGFP", "transmitted", "truth"]
    assert layers["truth"].max() > 10
    inside, outside = (layers["EGFP"][where].mean() for where in (layers["truth"] > 0, layers["truth"] == 0))
    assert inside > 2 * outside
