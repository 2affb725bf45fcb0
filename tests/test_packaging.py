"""The conda recipe, which no test builds, agrees with pyproject.toml."""

import re
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import cellular

tomllib = pytest.importorskip("tomllib")  # Python 3.11 and newer
ROOT = Path(cellular.__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RECIPE = yaml.safe_load((ROOT / "packaging" / "conda" / "recipe.yaml").read_text(encoding="utf-8"))
# Names that differ on conda-forge; the other names are the same.
CONDA = {"torch": "pytorch", "opencv-python-headless": "py-opencv", "matplotlib": "matplotlib-base"}


def conda(requirement):
    """Name and bounds there: of opencv-python-headless' version the fourth number is the wheel's own."""
    bounds = re.sub(r"(\d+\.\d+\.\d+)\.\d+", r"\1", str(requirement.specifier))
    return CONDA.get(requirement.name, requirement.name), SpecifierSet(bounds)


def test_the_conda_recipe_asks_for_what_pyproject_asks_for():
    asked = dict(conda(Requirement(line)) for line in PROJECT["dependencies"])
    asked["python"] = SpecifierSet(PROJECT["requires-python"])
    lines = [Requirement(line) for line in RECIPE["requirements"]["run"]]
    assert {line.name: line.specifier for line in lines} == asked


def test_the_conda_recipe_is_of_this_version_and_starts_the_same_program():
    assert RECIPE["context"]["version"] == PROJECT["version"]
    program = [f"{name} = {target}" for name, target in PROJECT["scripts"].items()]
    assert RECIPE["build"]["python"]["entry_points"] == program
    assert RECIPE["about"]["license"] == PROJECT["license"]
