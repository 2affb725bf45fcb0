"""`cellular simulate`: fields of tandem-reporter cells, with truth, laid out as the published archive is."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cellular.data.formats.images import write_image, write_labels
from cellular.data.masks.write_mask import write_mask
from cellular.errors import OutputExistsError
from cellular.files import alone_in, is_leftover, write_csv, write_json, writing
from cellular.progress import progress
from cellular.settings import settings_to_dict
from cellular.simulate.field import SimulatedField, simulate_series
from cellular.simulate.settings import SimulationSettings
from cellular.simulate.tables import cell_rows, puncta_rows, track_rows

PARTS = ("images", "images-color", "masks", "truth")
UNFINISHED = ".unfinished"
CHANNEL_FILES = (1, 2, 3)


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

    Raises
    ------
    OutputExistsError
        `out` holds anything already.
    OutputError
        `out` cannot be written.

    Examples
    --------
    >>> import cellular
    >>> from cellular.simulate import SimulationSettings
    >>> made = cellular.simulate("sim", SimulationSettings(fields=1, size_px=160, diameter_px=30))
    >>> made.fields, sorted(path.name for path in made.folder.iterdir())
    (('Timepoint_001_220518-ST_C05_s1',), ['images', 'images-color', 'masks', 'truth'])
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
    """A hidden folder in `out` whose folders are moved up when the block succeeds; when it fails nothing is left.

    `out` itself, which may be where a disk is mounted, is not replaced. While the hidden folder is there nothing
    beside it is whole: that is what a killed run leaves, and it is cleared away.
    """
    hidden = out / UNFINISHED
    parts = [entry for entry in out.iterdir() if not is_leftover(entry)] if out.is_dir() else []
    if (out.exists() and not out.is_dir()) or (parts and not hidden.is_dir()):
        raise OutputExistsError(f"{out} exists and is not an empty folder; name another, or remove it first")
    with alone_in(out), writing(out):
        try:
            _clear(out)
            hidden.mkdir()
            yield hidden
            for part in list(hidden.iterdir()):
                part.rename(out / part.name)
            hidden.rmdir()
        except BaseException:
            _clear(out)
            raise


def _clear(out: Path) -> None:
    """Remove an unfinished simulation, the hidden folder last."""
    for name in (*PARTS, UNFINISHED):
        if (out / UNFINISHED).is_dir():
            shutil.rmtree(out / name, ignore_errors=True)


def write_field(folder: Path, field: SimulatedField) -> None:
    """Write raw channels, composite, one mask per cell, and the true label image."""
    for channel, image in zip(CHANNEL_FILES, field.channels):
        write_image(folder / "images" / f"{field.name}_w{channel}.TIF", image)
    write_image(folder / "images-color" / f"{field.name}.jpg", field.composite())
    for cell in field.cells:
        path = folder / "masks" / field.name / cell.class_name / f"{field.name}_{cell.label}.png"
        write_mask(path, cell.box, cell.mask, field.channels.shape[1:], _colour(cell.label))
    write_labels(folder / "truth" / f"{field.name}_labels.tif", field.labels())


def _colour(label: int) -> tuple[int, int, int]:
    """A colour that is never black and otherwise means nothing, as in the archive."""
    return 60 + 97 * label % 196, 60 + 57 * label % 196, 60 + 31 * label % 196
