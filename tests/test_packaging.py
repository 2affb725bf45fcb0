"""The conda recipe and the containers, which no test builds, agree with pyproject.toml."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import cellular
from cellular.cli.main import build_parser

tomllib = pytest.importorskip("tomllib")  # Python 3.11 and newer
ROOT = Path(cellular.__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RECIPE = yaml.safe_load((ROOT / "packaging" / "conda" / "recipe.yaml").read_text(encoding="utf-8"))
CONTAINERS = ["Dockerfile", "apptainer.def"]
# Names that differ on conda-forge; the other names are the same.
CONDA = {"torch": "pytorch", "opencv-python-headless": "py-opencv", "matplotlib": "matplotlib-base"}


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


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


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_container_installs_extras_that_there_are(container):
    """Pip only warns of an extra that does not exist, and installs nothing for it."""
    (extras,) = re.findall(r'"/src\[([\w,]+)\]"', text(container))
    assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])


def test_both_containers_are_built_in_the_same_way():
    docker, apptainer = (re.findall(r"(?:uv )?pip (?:un)?install [^\n\\]+\b", text(name)) for name in CONTAINERS)
    assert docker == apptainer


def test_both_containers_are_built_from_the_same_files():
    docker = {line.removeprefix("!") for line in text(".dockerignore").splitlines() if line.startswith("!")}
    apptainer = dict(re.findall(r"^    (\S+) /src/(\S+)$", text("apptainer.def"), re.MULTILINE))
    assert docker == set(apptainer) == set(apptainer.values())
    assert docker >= {"pyproject.toml", "constraints.txt", PROJECT["readme"], *PROJECT["license-files"], "src"}


@pytest.mark.parametrize("page", [*CONTAINERS, "docs/cluster.md"])
def test_what_a_container_is_told_to_do_is_a_command(page):
    """The words after the image's name are those of `cellular` itself."""
    told = re.findall(r"(?:docker|apptainer) run .*\bcellular(?:\.sif)? (.+)", text(page).replace("\\\n", ""))
    assert told
    for words in map(shlex.split, told):
        build_parser(words[0])[0].parse_args(words)
