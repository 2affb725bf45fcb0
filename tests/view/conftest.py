"""A run of simulated fields to look at."""

import pytest

from cellular.jobs.analyse import analyse
from cellular.jobs.simulate import simulate
from cellular.simulate.settings import SimulationSettings


@pytest.fixture(scope="session")
def analysed(tmp_path_factory):
    """The folder of a run on three fields, by their true label images; not to be written to."""
    folder = tmp_path_factory.mktemp("analysed")
    made = simulate(folder / "sim", SimulationSettings(fields=3, size_px=256, diameter_px=50, cells_per_field=9))
    analyse(made.images, folder / "run", labels=made.truth)
    return folder / "run"
