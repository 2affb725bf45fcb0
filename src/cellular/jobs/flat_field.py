"""The flat field of a plate: estimated over its fields or given as images, judged, and applied where it is to be."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd

from cellular.autophagy.measure.unmix import REPORTER
from cellular.autophagy.quality.field import light_of_field
from cellular.autophagy.quality.flat_field import Profile, correct_field, given_profile, profiles_by_plate
from cellular.data.formats.images import read_image, write_image
from cellular.data.formats.suffixes import IMAGE_SUFFIXES
from cellular.data.image import FieldImage, read_field
from cellular.data.plate import FieldFiles, Plate
from cellular.errors import CellularError, InputError, MissingInputError
from cellular.files import plain_names, read_csv, together, write_csv
from cellular.jobs.engines import HERE, Engine
from cellular.jobs.runner import attempt, spread
from cellular.jobs.scale import Scale, common_scale, read_comparable

logger = logging.getLogger(__name__)

FOLDER, TABLE = "flat_field", "flat_field.csv"
OFF, AUTO = "off", "auto"
# A profile rests on this many fields at most, evenly spread over the plate.
FIELDS = 200
COLUMNS = (
    *(
        "plate",
        "channel",
        "fields",
        "shape",
        "offset",
        "cells_before",
        "cells_after",
        "background_before",
        "background_after",
    ),
    *("corner_error", "helps", "applied"),
)

# Profiles by plate and channel; the plate is "" for one that is for all.
Profiles = dict[tuple[str, str], Profile]


@dataclass(frozen=True)
class FlatField:
    """What is done about uneven light.

    Attributes
    ----------
    choice : None to estimate and report, "auto" to apply what helps, "off", or a folder of images to apply.
    given : images (Y, X) of the folder by channel; None where there is none.
    applied : profiles that every field is divided by.
    table : a row a channel, or plate and channel: what a profile rests on, gains, and whether it is applied.
    images : each row's profile (Y, X) by its name.
    """

    choice: str | None = None
    given: Mapping[str, np.ndarray] | None = None
    applied: Profiles = field(default_factory=dict)
    table: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(COLUMNS)))
    images: Mapping[str, np.ndarray] = field(default_factory=dict)

    def correct(self, image: FieldImage, item: FieldFiles) -> FieldImage:
        """The image of `item` as it is measured."""
        own = {channel: profile for (plate, channel), profile in self.applied.items() if plate in ("", _plate_of(item))}
        return correct_field(image, own)

    def record(self) -> dict[str, dict[str, str]]:
        """Which images were given, SHA-256 by channel, for the record of the job's settings."""
        if self.given is None:
            return {}
        return {"flat_field_images": {name: sha256(image.tobytes()).hexdigest() for name, image in self.given.items()}}

    def to_apply(self) -> "FlatField":
        """The same with no more than :meth:`correct` needs: what travels to workers."""
        return FlatField(self.choice, applied=self.applied)


def _plate_of(item: FieldFiles) -> str:
    """What tells plates apart here: a plate on a day."""
    return " ".join(part for part in (item.date, item.plate) if part)


def lit_fields(plate: Plate) -> list[FieldFiles]:
    """The fields that a flat field is estimated from: raw ones, at most :data:`FIELDS`."""
    return list(spread([item for item in plate.fields if item.kind == "raw"], FIELDS))


def open_flat_field(plate: Plate, choice: str | None) -> FlatField:
    """What `choice` asks for, its images read; nothing is written.

    A file in a folder of flat fields is called as the channel is: by role (``mRFP.tif``), name or token (``w2.tif``).
    Raises MissingInputError where there is no such folder, or none of its files is for a reporter channel that the
    plate has, and InputError for composites, whose colours are mixed and stretched.
    """
    if choice in (None, OFF):
        return FlatField(choice)
    if not lit_fields(plate):
        raise InputError(f"{plate.folder}: a flat field needs raw channels; these are composites or pictures")
    if choice == AUTO:
        return FlatField(choice)
    if not Path(choice).is_dir():
        raise MissingInputError(f"--flat_field {choice}: no such folder; give a folder of images, auto or off")
    files = {path.stem.lower(): path for path in Path(choice).iterdir() if path.suffix.lower() in IMAGE_SUFFIXES}
    found = {}
    for source in plate.channels:
        words = [word.lower() for word in (source.role, source.name, source.token) if word]
        path = next((files[word] for word in words if word in files), None)
        if path is not None:
            found[source.role or source.name or source.token] = read_image(path)
        elif source.role in REPORTER:
            raise MissingInputError(f"{choice} has no flat field of {source.role}, such as {source.role}.tif")
    return FlatField(choice, found)


def settle(flat: FlatField, plate: Plate, out: Path, engine: Engine = HERE) -> FlatField:
    """The same with the profiles to apply to every field: those that help for "auto", those given for a folder.

    They are settled once for an output: a run that goes on takes those that lie there. Raises InputError where no field
    can be read, or the fields cannot judge what was given.
    """
    if flat.choice in (None, OFF):
        return flat
    if not (out / FOLDER / TABLE).is_file():
        chosen = lit_fields(plate)
        # a field that is not measured beside the others says nothing about the light on them
        look = partial(_light, scale=common_scale(plate.fields))
        light, problems = attempt(chosen, look, desc="flat field", engine=engine)
        if not light:
            raise InputError(
                f"No field could be read for the flat field; first problem: {next(iter(problems.values()))}"
            )
        profiles = profiles_of(together(list(light.values())), plate, flat.given)
        applied = {name for name, profile in profiles.items() if flat.given or profile.helps}
        _write(out, profiles, applied, plate)
    return _read(flat, out)


def _light(item: FieldFiles, scale: Scale | None) -> pd.DataFrame:
    return light_of_field(read_comparable(item, scale), item.name)


def report(flat: FlatField, light: pd.DataFrame | None, plate: Plate, out: Path) -> FlatField:
    """The same with profiles estimated, or judged, from the `light` of its fields, none of them applied.

    For one that is not settled: what was applied stays as it was.
    """
    if flat.choice == OFF or flat.applied or len(flat.table) or light is None:
        return flat
    _write(out, profiles_of(light, plate, flat.given), set(), plate)
    return _read(flat, out)


def profiles_of(light: pd.DataFrame, plate: Plate, given: Mapping[str, np.ndarray] | None = None) -> Profiles:
    """Profiles from the light of many fields; a channel that does not allow one is logged and left out."""
    plates = {item.name: _plate_of(item) for item in plate.fields}
    profiles: Profiles = {}
    for channel, rows in light.groupby("channel", sort=False):
        if given is not None and channel not in given:
            continue
        try:
            own = profiles_by_plate(rows, plates) if given is None else {"": given_profile(given[channel], rows)}
            profiles |= {(name, channel): profile for name, profile in own.items()}
            for name in sorted(set(rows["field"].map(plates)).difference(own) if "" not in own else ()):
                logger.warning("no flat field of %s on plate %s: few fields, and lit otherwise", channel, name)
        except InputError as error:
            if given is not None:
                raise
            logger.info("no flat field: %s", error)
    return profiles


def _write(out: Path, profiles: Profiles, applied: set[tuple[str, str]], plate: Plate) -> None:
    """Write ``flat_field/<plate>_<channel>.tif`` (float32, mean 1), then the table, which says that all is there."""
    shape = next((image.shape for image in _readable(plate)), None)
    rows, files = [], _files(out, profiles)
    for name, profile in profiles.items():
        if shape is None:
            raise InputError(f"{plate.folder}: none of the fields of its flat field can be read any more")
        write_image(files[name], profile.over(shape))
        about = {column: getattr(profile, column) for column in COLUMNS[1:-1]}
        rows.append({"plate": name[0], **about, "applied": name in applied})
    write_csv(out / FOLDER / TABLE, pd.DataFrame(rows, columns=list(COLUMNS)))


def _readable(plate: Plate) -> Iterator[FieldImage]:
    for item in lit_fields(plate):
        with suppress(CellularError):
            yield read_field(item)


def _read(flat: FlatField, out: Path) -> FlatField:
    table = read_csv(out / FOLDER / TABLE, ("plate", "channel", "shape"))
    table["plate"] = table["plate"].fillna("").astype(str)
    images, applied, files = {}, {}, _files(out, zip(table["plate"], table["channel"]))
    for row in table.to_dict("records"):
        plate, channel = row["plate"], row["channel"]
        image = images[f"{plate} {channel}".strip()] = read_image(files[plate, channel])
        if row["applied"]:
            numbers = {name: row[name] for name in COLUMNS[4:10]}
            applied[plate, channel] = Profile(channel, row["fields"], "given", np.empty(0), image=image, **numbers)
    return replace(flat, applied=applied, table=table, images=images)


def _files(out: Path, names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Path]:
    """The image of each plate and channel."""
    called = {(plate, channel): f"{plate}_{channel}" if plate else channel for plate, channel in names}
    plain = plain_names(called.values())
    return {name: out / FOLDER / f"{plain[text]}.tif" for name, text in called.items()}
