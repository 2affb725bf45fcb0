"""What `cellular view` shows: a run or a plate, from its folder and tables alone; no image is read."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pandas as pd

from cellular.data.find import find_plate
from cellular.data.listing import PLATE
from cellular.data.plate import FieldFiles, Plate
from cellular.data.window import stamp
from cellular.errors import CellularError, InputError
from cellular.files import read_json
from cellular.jobs.corrections import Corrections, open_corrections
from cellular.jobs.corrections_log import COUNTS, LOG
from cellular.jobs.runs import VERBS, plate_of_run, verb_of
from cellular.segment.settings import SegmentSettings
from cellular.settings import parse_toml, settings_from
from cellular.tables import Tables, find_table, read_table

TABLES = ("cells", "puncta", "marker_puncta", "images", "quality")
LAZY = ("puncta", "marker_puncta")
# Tables in folders of their own.
BESIDE = {"tracks": "tracks/tracks", "exclusions": "stats/exclusions"}


@dataclass(frozen=True)
class Run:
    """A run, or a plate that nothing was done to yet.

    Attributes
    ----------
    folder : of the run; for a bare plate where what is done to it goes, made when something is.
    verb : what made it, None for a bare plate.
    plate : its fields, each with the label image that the run went by, where there is one.
    tables : those of :data:`TABLES` that are there, "tracks", and "exclusions", the fields left out of the comparison;
        "images" always, a row a field.
    record : the settings that the run was made with.
    options : how the plate was found, by the names of the command line's options.
    images : where the images of a run were said to be now.
    """

    folder: Path
    verb: str | None
    plate: Plate
    tables: Mapping[str, pd.DataFrame]
    record: Mapping[str, Any]
    options: Mapping[str, Any]
    images: str | Path | None = None

    @property
    def corrections(self) -> Path:
        """Where its corrections lie."""
        return self.folder / "corrections"

    @property
    def segmenting(self) -> SegmentSettings:
        """How it outlined its cells; of given outlines, and of a bare plate, the defaults."""
        return settings_from(SegmentSettings, self.record.get("settings" if self.verb == "segment" else "segment", {}))

    def corrected(self) -> Corrections | None:
        """Its corrections, None where nobody has made one."""
        return open_corrections(self.corrections) if (self.corrections / LOG).is_file() else None

    def unmeasured(self) -> list[str]:
        """Fields that were corrected since their cells were measured, as far as times and counts of cells tell."""
        found = self.corrected()
        # by its date alone: it is asked at every stroke, and also while a command writes the table
        table = stamp(self.folder / "cells.parquet") or stamp(self.folder / "cells.csv")
        if found is None or table is None:
            return []
        written = datetime.fromtimestamp(table[-1] / 1e9, timezone.utc).isoformat(timespec="seconds")
        images = self.tables["images"].set_index("field").reindex(columns=COUNTS).fillna(0)
        corrected = [name for name in dict.fromkeys(entry["field"] for entry in found.log) if name in images.index]
        return [name for name in corrected if _is_newer(found.of(name), written, images.loc[name])]

    def written(self) -> tuple:
        """What differs once a command has written the run again; of a bare plate always the same."""
        if self.verb is None:
            return ()
        tables = [f"{name}.{ending}" for name in (*TABLES, *BESIDE.values()) for ending in ("parquet", "csv")]
        return tuple(stamp(self.folder / name) for name in (PLATE, f"{self.verb}.json", *tables))

    def field(self, name: str) -> FieldFiles:
        """The field of that name; InputError where there is none."""
        for item in self.plate.fields:
            if item.name == name:
                return item
        raise InputError(f"{self.plate.folder} has no field {name}")

    def frames(self, item: FieldFiles) -> list[FieldFiles]:
        """The field's position at all its timepoints, in order."""
        frames = [one for one in self.plate.fields if one.series == item.series and one.timepoint is not None]
        return sorted(frames, key=lambda one: one.timepoint or 0)

    def words(self) -> list[str]:
        """How another command of `cellular` is told of this run and its corrections."""
        own = ["--corrections", str(self.corrections)]
        if self.verb is not None:
            return [str(self.folder), "--images", str(self.plate.folder), *own]
        return [str(self.plate.folder), *own, *self.found()]

    def found(self) -> list[str]:
        """How another command is told to find the same plate in its folder."""
        names = ("scheme", "pattern", "z", "pixel_size", "pixel_size_um")
        told = {name: self.options.get(name) for name in names}
        words = [w for n, v in told.items() if v is not None for w in (f"--{n.removesuffix('_um')}", str(v))]
        return [*words, *(["--channels", *self.options["channels"]] if self.options["channels"] else [])]

    def again(self) -> list[str] | None:
        """The words of the command that measures the corrected fields again; None for what cannot be done again.

        The options are those that the run was given. One that was made from Python kept none: it is done again where
        its record tells them all.
        """
        if self.verb not in ("analyse", "measure"):
            return None
        given = [str(self.record["labels"])] if self.verb == "measure" else []
        if (told := _config_of(self.folder, self.verb)).is_file():
            options = ["--config", str(told)]
        elif self.verb == "measure" and self._is_told():
            options = self._measuring()
        else:
            return None
        words = [self.verb, str(self.plate.folder), *given, *options]
        return [*words, "--out", str(self.folder), "--corrections", str(self.corrections)]

    def _is_told(self) -> bool:
        """Whether the options that are known find this plate: no map, slice or pattern is among them."""
        how = {"scheme": self.options["scheme"], "channels": self.options["channels"]}
        try:
            found = find_plate(self.plate.folder, **how, pixel_size_um=self.options["pixel_size"])
        except CellularError:
            return False
        return found.with_labels({}).as_dict() == self.plate.with_labels({}).as_dict()

    def _measuring(self) -> list[str]:
        """The options of `cellular measure` that its record tells."""
        nuclei = self.record["nuclei"]["from"]
        told = {**self.record, **self.record["puncta"], "nuclei": nuclei, "pixel_size": self.record["pixel_size_um"]}
        told |= {name: value for name, value in self.options.items() if name != "channels"}
        names: tuple[str, ...]
        names = ("min_sigma", "max_sigma", "unit", "snr", "visible", "contrast", "kind_ratio", "second_look")
        names += ("detector", "spotiflow_model", "spotiflow_probability", "reporter", "keima_ratio", "many_puncta")
        names += ("nuclei", "flat_field", "pixel_size", "scheme")
        words = [word for name in names if told.get(name) is not None for word in (f"--{name}", str(told[name]))]
        return [*words, *(["--channels", *self.options["channels"]] if self.options["channels"] else [])]


def open_run(source: str | Path, images: str | Path | None = None, out: str | Path | None = None, **how: Any) -> Run:
    """The run in folder `source`, or the plate if it is none.

    Parameters
    ----------
    source : folder that `cellular analyse`, `measure` or `segment` wrote, or that holds images.
    images : folder of the run's images, where they are no longer where they were.
    out : for a bare plate, where corrections and new results go; a folder beside it by default.
    how : for a bare plate, as for :func:`cellular.data.find.find_plate`.

    Raises MissingInputError or InputError for what is neither, or a run whose images are gone.
    """
    source = Path(source)
    verb = verb_of(source)
    if verb is None:
        if images is not None:
            raise InputError(f"{source} is no run of {', '.join(VERBS)}: --images goes with one")
        plate = find_plate(source, **how)
        folder = Path(out) if out else source.resolve().with_name(f"{source.resolve().name}_view")
        return Run(folder, None, plate, {"images": plate.table()}, {}, {"channels": (), **how})
    record = read_json(source / f"{verb}.json")
    plate = plate_of_run(source, images)
    return Run(source, verb, plate, run_tables(source, plate, verb), record, _options(source, plate, verb), images)


def run_tables(folder: Path, plate: Plate, verb: str | None) -> Tables:
    """The tables of a run as they are now, those of :data:`BESIDE` too; puncta are read field by field."""
    tables = Tables(folder, TABLES)
    held = {name: tables[name] for name in tables if name not in LAZY}
    if verb == "segment" and "cells" in held:
        held["cells"] = held["cells"].rename(columns={"image": "field", "area_px": "area"})
    for name, place in BESIDE.items():
        if found := find_table(folder, place):
            held[name] = read_table(found)
    return tables.holding(**{"images": plate.table(), **held})


def _is_newer(entries: Sequence[Mapping[str, Any]], written: str, counts: pd.Series) -> bool:
    """Whether a field's strokes have changed it since `written`, or to other `counts` than the tables tell."""
    new, last = [entry for entry in entries if entry["time"] > written], entries[-1]
    before = entries[-len(new) - 1]["after"] if len(new) < len(entries) else last["original"]
    if last["after"] != before or any(last[name] != counts[name] for name in COUNTS):
        return True
    return any("states" in entry for entry in new)


def _config_of(folder: Path, verb: str) -> Path:
    """Where a run keeps what the command line was told; there is none of a run from Python."""
    return folder / ("config.toml" if verb == "analyse" else f"{verb}.toml")


def _options(folder: Path, plate: Plate, verb: str) -> dict[str, Any]:
    """How the run's plate was found: by what the command line was told, else by what was understood."""
    path = _config_of(folder, verb)
    config = parse_toml(path.read_text(encoding="utf-8")).get("plate", {}) if path.is_file() else {}
    if config:
        return {**config, "channels": config.get("channels", [])}
    told = {source.channel: (source.role, source.token) for source in plate.channels if source.role and source.token}
    # Where files differ in the order of their channels, their names told the roles, and will again.
    often = Counter(word for pair in set(told.values()) for word in pair)
    named = [f"{role}={token}" for role, token in dict.fromkeys(told.values()) if often[role] == often[token] == 1]
    sizes = [item.pixel_size_um for item in plate.fields if item.pixel_size_um]
    scheme = plate.scheme if " and " not in plate.scheme else None
    return {"channels": named, "scheme": scheme, "pixel_size": min(sizes, default=None)}
