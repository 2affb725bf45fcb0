"""`cellular quality`: which fields of a plate are out of focus, saturated or odd, and how evenly they are lit."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cellular.autophagy.measure.documentation import documentation
from cellular.autophagy.quality.drift import drift_notes, measure_drift
from cellular.autophagy.quality.exclusions import FLAGGED, ledger, read_exclusions
from cellular.autophagy.quality.field import measure_quality
from cellular.autophagy.quality.flags import flag_fields, same_images
from cellular.data.find import as_plate
from cellular.data.formats.images import write_image
from cellular.data.image import FieldImage, load_labels, load_others, read_field
from cellular.data.listing import PLATE
from cellular.data.plate import FieldFiles, Plate
from cellular.errors import CellularError
from cellular.files import write_csv, write_json
from cellular.jobs.engines import HERE, Engine
from cellular.jobs.flat_field import FOLDER, FlatField, lit_fields, open_flat_field, report
from cellular.jobs.measure import roles_of
from cellular.jobs.runner import Work, claimed, each_field, files_of, spread, write_problems
from cellular.jobs.wells import about_fields, as_known
from cellular.report.html import Page
from cellular.report.quality import add_quality, profile_data, profile_figure, thumbnail
from cellular.report.style import save

LIGHT = "light"
# Thumbnails of flagged fields, and of usual ones to compare with.
THUMBNAILS, USUAL = 12, 2


@dataclass(frozen=True)
class Quality:
    """What is told of a plate's fields.

    Attributes
    ----------
    table : a row a field with ``flagged`` and ``reasons``.
    notes : what concerns whole plates, a sentence each. drift : change over time.
    flat_field : how evenly they are lit, and what was done about it.
    thumbnails : pictures of the flagged fields, and of usual ones. profiles : picture of the flat field.
    """

    table: pd.DataFrame
    notes: list[str]
    drift: pd.DataFrame
    flat_field: FlatField
    thumbnails: dict[str, Path]
    profiles: Path | None = None

    @property
    def flagged(self) -> list[str]:
        """Names of the flagged fields."""
        return list(self.table.loc[self.table["flagged"].astype(bool), "field"])

    def add_to(self, page: Page, excluded: pd.DataFrame | None = None) -> Page:
        """The section of a page; `excluded` is the ledger of what was left out, None where nothing was to be."""
        about = (self.table, self.notes, self.drift, self.flat_field.table, self.profiles, self.thumbnails)
        return add_quality(page, *about, excluded)


def quality(
    plate: Plate | str | Path,
    out: str | Path,
    *,
    labels: str | Path | None = None,
    flat_field: str | None = None,
    engine: Engine = HERE,
) -> tuple[Quality, dict[str, str]]:
    """Look at every field of `plate` and write what is odd to folder `out`; returned with what was passed over.

    `out` gets ``quality.csv``, ``columns.csv``, ``drift.csv``, ``flat_field/``, ``thumbnails/``, ``quality.html``,
    ``problems.csv``, ``plate.json``, ``quality.json`` and ``fields/``. Nothing is corrected or left out here.

    Parameters
    ----------
    plate : or a folder for :func:`cellular.data.find.find_plate`. Any channels will do.
    labels : folder of label images, for the number of cells and debris.
    flat_field : None estimates it over the fields, "off" does not; images in a folder are judged.
    engine : where the fields are done; the result is the same. See :mod:`cellular.jobs.engines`.

    Raises
    ------
    InputError : no field could be read. OutputExistsError : `out` was begun with another plate, labels or flat field.
    """
    plate, out = as_plate(plate, labels), Path(out)
    flat = open_flat_field(plate, flat_field)
    record = {"plate": str(plate.folder), "labels": str(labels) if labels else None, "channels": roles_of(plate)}
    with claimed(out, "quality", record | {"flat_field": flat_field}, engine):
        write_json(out / PLATE, plate.as_dict())
        done = each_field(plate, out, _work(plate), desc="quality", engine=engine)
        result = judge(plate, done.tables, out, flat)
        write_csv(out / "columns.csv", documentation({"quality": result.table}))
        write_problems(out, done.problems)
        title = f"Quality of {plate.folder.resolve().name}"
        result.add_to(Page(title, subtitle="cellular quality", footer="Made by cellular.", folder=out)).write(
            out / "quality.html"
        )
    return result, done.problems


def _work(plate: Plate) -> Work:
    return Work(Looking.at(plate).do, files_of, known=FieldFiles.reading)


@dataclass(frozen=True)
class Looking:
    """Looking at one field: what is known of each by name, and which of them tell how the plate is lit."""

    about: Mapping[str, dict]
    lit: set[str]

    @classmethod
    def at(cls, plate: Plate) -> "Looking":
        """For the fields of a plate."""
        return cls(about_fields(plate), {item.name for item in lit_fields(plate)})

    def look(
        self, item: FieldFiles, image: FieldImage, labels: np.ndarray | None, others: np.ndarray | None = None
    ) -> dict[str, pd.DataFrame]:
        """The tables that :func:`judge` needs, of a field's image as recorded, its labels and the `others`."""
        tables = measure_quality(image, item.name, labels, self.about[item.name], others)
        return {name: table for name, table in tables.items() if name != LIGHT or item.name in self.lit}

    def do(self, item: FieldFiles) -> Mapping[str, pd.DataFrame]:
        """The same of its files."""
        image = read_field(item)
        labels = load_labels(item, image.shape) if item.labels else None
        return self.look(item, image, labels, load_others(item, image.shape))


def judge(plate: Plate, tables: Mapping[str, pd.DataFrame], out: Path, flat: FlatField) -> Quality:
    """Flag the fields of all `tables` ("quality", "light") and write what is told to `out`.

    A flat field that is not settled is estimated from the light of the fields, and not applied.
    """
    table, notes = flag_fields(as_known(tables["quality"], plate, "quality"))
    notes += same_images(table)
    drift = measure_drift(table)
    write_csv(out / "quality.csv", table)
    write_csv(out / "drift.csv", drift)
    flat = report(flat, tables.get(LIGHT), plate, out)
    drawn = out / FOLDER / "profiles.svg" if flat.images else None
    if drawn is not None:
        save(profile_figure(flat.images), drawn, profile_data(flat.images))
    return Quality(table, notes + drift_notes(drift), drift, flat, _thumbnails(plate, table, out), drawn)


def check_exclusions(exclude: Sequence[str], plate: Plate) -> None:
    """InputError, before anything is done, for a field of `exclude` that the plate does not have."""
    named = read_exclusions([word for word in exclude if word != FLAGGED], None)
    ledger(named, pd.DataFrame({"field": pd.Series(dtype=object)}), [item.name for item in plate.fields])


def left_out(exclude: Sequence[str], tables: Mapping[str, pd.DataFrame], plate: Plate) -> pd.DataFrame | None:
    """The ledger of the fields of `exclude`, measured or not; None where nothing was to be left out."""
    if not exclude:
        return None
    named = read_exclusions(exclude, tables["quality"])
    return ledger(named, tables["cells"], [item.name for item in plate.fields])


def _thumbnails(plate: Plate, table: pd.DataFrame, out: Path) -> dict[str, Path]:
    """Small pictures of the flagged fields and of usual ones, all from dark to bright alike; a few of each."""
    odd = list(table.loc[table["flagged"].astype(bool), "field"])[:THUMBNAILS]
    usual = list(table.loc[~table["flagged"].astype(bool), "field"])
    chosen = odd + list(spread(usual, USUAL))
    channels = [name.removeprefix("signal__") for name in table if name.startswith("signal__")]
    levels = {}
    for channel in channels:
        dark = float(table[f"background__{channel}"].median())
        levels[channel] = (dark, dark + float(table[f"signal__{channel}"].median()))
    items = {item.name: item for item in plate.fields}
    drawn = {}
    for name in chosen:
        with suppress(CellularError):
            picture = thumbnail(read_field(items[name]), levels)
            drawn[name] = write_image(out / "thumbnails" / f"{name}.jpg", picture)
    return drawn
