"""Simulated fields of tandem-reporter cells, with truth, laid out as the published archive is."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cellular.errors import OutputExistsError
from cellular.files import write_csv, write_json
from cellular.progress import progress
from cellular.settings import settings_to_dict
from cellular.simulate.field import SimulatedCell, SimulatedField, simulate_field, simulate_series
from cellular.simulate.settings import SimulationSettings
from cellular.simulate.writing import cell_rows, puncta_rows, track_rows, write_field

__all__ = [
    "SimulatedCell",
    "SimulatedField",
    "SimulationResult",
    "SimulationSettings",
    "simulate",
    "simulate_field",
    "simulate_series",
]


@dataclass(frozen=True)
class SimulationResult:
    """What :func:`simulate` wrote.

    Attributes
    ----------
    folder : holds ``images``, ``images-color``, ``masks`` and ``truth``.
    fields : names of the fields, position by position, each in order of time.
    cells, puncta : how many in all fields together.
    """

    folder: Path
    fields: tuple[str, ...]
    cells: int
    puncta: int

    @property
    def images(self) -> Path:
        """Raw 16-bit channels, ``<field>_w1.TIF`` EGFP, ``_w2`` mRFP, ``_w3`` transmitted light."""
        return self.folder / "images"

    @property
    def composites(self) -> Path:
        """8-bit RGB composites."""
        return self.folder / "images-color"

    @property
    def masks(self) -> Path:
        """A folder per field, in it a folder per class, in it a colour PNG per cell."""
        return self.folder / "masks"

    @property
    def truth(self) -> Path:
        """``cells.csv``, ``puncta.csv``, ``tracks.csv``, ``<field>_labels.tif`` and ``simulation.json``."""
        return self.folder / "truth"


def simulate(out: str | Path, settings: SimulationSettings | None = None) -> SimulationResult:
    """Simulate fields and write them with their truth to the folder `out`, whole or not at all.

    Raises OutputExistsError where `out` holds anything already.
    """
    settings = settings or SimulationSettings()
    names: list[str] = []
    cells: list[dict] = []
    tracks: list[dict] = []
    puncta: list[pd.DataFrame] = []
    with _whole_folder(Path(out)) as folder:
        for field in progress(_all_fields(settings), total=settings.fields * settings.timepoints, desc="simulate"):
            write_field(folder, field)
            names.append(field.name)
            cells += cell_rows(field)
            tracks += track_rows(field)
            puncta.append(puncta_rows(field))
        spots = pd.concat(puncta, ignore_index=True)
        write_csv(folder / "truth" / "cells.csv", pd.DataFrame(cells))
        write_csv(folder / "truth" / "puncta.csv", spots)
        write_csv(folder / "truth" / "tracks.csv", pd.DataFrame(tracks))
        write_json(folder / "truth" / "simulation.json", settings_to_dict(settings))
    return SimulationResult(Path(out), tuple(names), len(cells), len(spots))


def _all_fields(settings: SimulationSettings) -> Iterator[SimulatedField]:
    for position in range(settings.fields):
        yield from simulate_series(settings, position)


@contextmanager
def _whole_folder(out: Path) -> Iterator[Path]:
    """A hidden folder beside `out` that becomes `out` when the block succeeds and is removed when it fails."""
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise OutputExistsError(f"{out} exists and is not an empty folder; name another, or remove it first")
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".partial-{out.name}-"))
    try:
        yield temporary
        temporary.chmod(0o755)
        if out.exists():
            out.rmdir()
        os.replace(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
