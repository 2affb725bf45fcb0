"""A simulated dataset as small as can be trained on, shared by the workflows' tests."""

import pytest

from cellular.jobs.simulate import simulate
from cellular.simulate.settings import SimulationSettings


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory):
    """Three fields of 96 px, one for each split of the paper; not to be written to."""
    settings = SimulationSettings(fields=3, size_px=96, diameter_px=24, cells_per_field=10)
    return simulate(tmp_path_factory.mktemp("dataset") / "simulated", settings).folder


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("CELLULAR_CACHE", str(tmp_path_factory.mktemp("cache")))
