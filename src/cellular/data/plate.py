"""A plate: its fields, and what is known of their wells. The one finder of images; nobody else scans folders."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from cellular.data.platemap import KEYS
from cellular.errors import InputError
from cellular.files import number_order

# The order of a field image's channels; what has no role comes last, in the files' own order.
ROLE_ORDER = ("mRFP", "EGFP", "transmitted", "DNA")
IDENTITY = ("plate", "well", "site", "timepoint", "date")

Kind = Literal["raw", "composite", "picture"]


@dataclass(frozen=True)
class Source:
    """Where one channel of a field lies.

    Attributes
    ----------
    token : what file names or planes call it: "w1", "DAPI", "2"; "" for all colours of a picture.
    name : what it is called where that is known ("HOECHST 33342"), else "".
    role : "mRFP", "EGFP", "DNA", "transmitted", "marker:NAME", or None where it is not known.
    slices : file and z plane in it, one, or the whole stack that a projection is made of.
    index : which of the file's channels; None takes all that is there: a picture's colours, or the one plane of a file
        that its name calls a channel.
    scene, t : which image and timepoint of the file.
    """

    token: str
    name: str
    role: str | None
    slices: tuple[tuple[Path, int], ...]
    index: int | None = 0
    scene: int = 0
    t: int = 0

    @property
    def channel(self) -> tuple[str, str]:
        """What tells it from other channels: its token, and its name, since files may differ in order."""
        return self.token, self.name

    @property
    def called(self) -> str:
        """Its token, and its name where it has another."""
        return f"{self.token} ({self.name})" if self.name and self.name != self.token else self.token


@dataclass(frozen=True)
class FieldFiles:
    """One field of view: its files by channel, and where on the plate it is. Parts are None where nothing tells them.

    Attributes
    ----------
    name : unique in its plate, and what every output of the field is called.
    sources : its channels, mRFP, EGFP, transmitted light, DNA and markers first.
    kind : "raw" detectors, "composite" (CELLULAR's: transmitted light is mixed into all three colours), or a "picture"
        whose colours mean what the user says.
    plate, well, site, timepoint, date : well as in "A01"; date as YYMMDD.
    series : the name without the timepoint: the same for all timepoints of one position.
    projection : "max" or "sum" of the slices of a z-stack.
    pixel_size_um : as given, or as files beside the images say; None leaves it to the image file.
    labels, ignore : label image of its cells, and of the cells that do not count.
    original : where `labels` were corrected by hand, the label image before.
    """

    name: str
    sources: tuple[Source, ...]
    kind: Kind = "raw"
    plate: str | None = None
    well: str | None = None
    site: int | None = None
    timepoint: int | None = None
    date: str | None = None
    series: str = ""
    projection: str | None = None
    pixel_size_um: float | None = None
    labels: Path | None = None
    ignore: Path | None = None
    original: Path | None = None

    @property
    def images(self) -> tuple[Path, ...]:
        """Its image files, each once."""
        return tuple(dict.fromkeys(path for source in self.sources for path, _ in source.slices))

    @property
    def roles(self) -> tuple[str | None, ...]:
        """Roles of its channels; a composite has the three that are mixed in it."""
        return ROLE_ORDER[:3] if self.kind == "composite" else tuple(source.role for source in self.sources)

    def has(self, role: str) -> bool:
        """Whether a channel has this role."""
        return role in self.roles

    def reading(self) -> dict[str, Any]:
        """How its files are read, for the record: the same files read in another way are another image.

        Its plate and date are told too: light is evened out plate by plate.
        """
        names = ("kind", "projection", "pixel_size_um", "plate", "date")
        sources = [
            [one.token, one.name, one.role, one.index, one.scene, one.t, [[path.name, z] for path, z in one.slices]]
            for one in self.sources
        ]
        return {**{name: getattr(self, name) for name in names}, "sources": sources}


@dataclass(frozen=True)
class Plate:
    """Fields of one or more plates, and what their wells were given.

    Attributes
    ----------
    folder : where they were found.
    scheme : how the names were read, a key of :data:`cellular.data.schemes.SCHEMES`.
    fields : sorted by name.
    wells : a row for each (``plate``, ``well``) of the fields, or for each ``field`` where the map tells of these, with
        the map's own columns: text, but for the number in ``dose``; None without a map.
    map_file : where the map is from.
    notes : what was assumed, left out or odd, a sentence each.

    Examples
    --------
    >>> import cellular
    >>> from cellular.simulate import SimulationSettings
    >>> made = cellular.simulate("sim", SimulationSettings(fields=1, size_px=160, diameter_px=30))
    >>> plate = cellular.find_plate(made.images)
    >>> print(plate.summary()[0])
    plate: 1 fields, 1 wells, 1 plates (ST); names as cellular
    """

    folder: Path
    scheme: str
    fields: tuple[FieldFiles, ...]
    wells: pd.DataFrame | None = None
    map_file: str | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.fields)

    @property
    def channels(self) -> tuple[Source, ...]:
        """Every channel that some field has, each once, in order of role."""
        found = {source.channel: source for item in self.fields for source in item.sources}
        return tuple(sorted(found.values(), key=lambda source: role_rank(source.role)))

    @property
    def map_columns(self) -> tuple[str, ...]:
        """The plate map's own columns."""
        return () if self.wells is None else tuple(name for name in self.wells if name not in KEYS)

    @property
    def map_by_field(self) -> bool:
        """Whether the map tells of fields, which are of no well."""
        return self.wells is not None and "field" in self.wells

    def given(self, item: FieldFiles) -> dict[str, Any]:
        """What the map says of the field, or of its well: the map's columns; None where it says nothing."""
        row = self._told.get((None, item.name) if self.map_by_field else (item.plate, item.well or ""), {})
        return {name: row.get(name) for name in self.map_columns}

    @cached_property
    def _told(self) -> dict[tuple[str | None, str], dict[str, Any]]:
        """The map's rows by plate and well, or by None and field: a plate has thousands of fields."""
        rows = [] if self.wells is None else self.wells.to_dict("records")
        if self.map_by_field:
            return {(None, row["field"]): row for row in rows}
        return {(row["plate"] if isinstance(row["plate"], str) else None, row["well"]): row for row in reversed(rows)}

    def table(self) -> pd.DataFrame:
        """A row a field: ``field, plate, well, site, timepoint, date`` and the map's columns."""
        rows = [
            {"field": item.name, **{name: getattr(item, name) for name in IDENTITY}, **self.given(item)}
            for item in self.fields
        ]
        names = list(dict.fromkeys(["field", *IDENTITY, *self.map_columns]))
        numbers = {"site": "Int64", "timepoint": "Int64", "dose": "float64"}
        # what is missing of text stays None
        table = pd.DataFrame(rows, columns=names, dtype=object)
        return table.astype({name: numbers[name] for name in names if name in numbers})

    def require(self, *roles: str, what: str, instead: str = "") -> None:
        """Raise InputError where no field has a channel of one of `roles`, and say how to name it.

        `what` needs them, or else, in words, `instead`.
        """
        missing = [role for role in roles if not any(item.has(role) for item in self.fields)]
        if missing:
            needed = " and ".join(missing) + instead
            raise InputError(f"{self.folder}: {what} needs {needed}, and {self._how_to_name(missing)}")

    def _how_to_name(self, missing: Sequence[str]) -> str:
        channels = [source for source in self.channels if source.token]
        if not channels:
            return "these pictures do not say what their colours are: give --channels mRFP=red EGFP=green, or the like"
        known = ", ".join(f"{source.called} = {source.role or 'unknown'}" for source in channels)
        tokens = list(dict.fromkeys(source.token for source in channels))
        asked = " ".join(f"{role}={token}" for role, token in zip(missing, tokens))  # no channel has two roles
        return f"the channels are {known}. Say which it is, for instance: --channels {asked}"

    def with_labels(self, found: Mapping[str, Path]) -> "Plate":
        """The same plate with label images by field name; a field that is not in `found` keeps none."""
        from dataclasses import replace

        fields = [(item, found.get(item.name)) for item in self.fields]
        return replace(
            self,
            fields=tuple(
                replace(item, labels=path, original=item.original if path == item.labels else None)
                for item, path in fields
            ),
        )

    def moved_to(self, folder: str | Path) -> "Plate":
        """The same plate where its images lie below `folder` now, as they lay below its own; `ignore` lies with them.

        Raises InputError for images that did not lie there.
        """
        from dataclasses import replace

        folder, fields = Path(folder), []
        for item in self.fields:
            sources = [
                replace(source, slices=tuple((self._moved(path, folder), z) for path, z in source.slices))
                for source in item.sources
            ]
            ignore = item.ignore and self._moved(item.ignore, folder)
            fields.append(replace(item, sources=tuple(sources), ignore=ignore))
        return replace(self, folder=folder, fields=tuple(fields))

    def _moved(self, path: Path, folder: Path) -> Path:
        if not path.is_relative_to(self.folder):
            raise InputError(f"{path} did not lie in {self.folder}, so {folder} does not tell where it is now")
        return folder / path.relative_to(self.folder)

    def summary(self) -> list[str]:
        """What was understood, in three lines, and a line a note."""
        known = self.table()
        apart = plates_apart(known)
        wells = set(zip(apart[known["well"].notna()], known["well"].dropna()))
        named = sorted(set(apart) - {""}, key=number_order) if wells else sorted(known["date"].dropna().unique())
        times = {item.timepoint for item in self.fields if item.timepoint is not None}
        what = [f"{len(self.fields)} fields" + (f", {len(wells)} wells" if wells else " of no plate")]
        listed = ", ".join(named[:4]) + (", ..." if len(named) > 4 else "")
        what += [f"{len(named)} {'plates' if wells else 'dates'} ({listed})"] if named else []
        what += [f"{len(times)} timepoints"] if len(times) > 1 else []
        return [
            f"plate: {', '.join(what)}; names as {self.scheme}",
            f"channels: {self._channels_line()}",
            self._map_line(),
            *(f"note: {note}" for note in self.notes),
        ]

    def _map_line(self) -> str:
        if not self.map_columns:
            return f"{'wells' if any(item.well for item in self.fields) else 'fields'}: no plate map"
        return f"{'fields' if self.map_by_field else 'wells'}: {', '.join(self.map_columns)} from {self.map_file}"

    def _channels_line(self) -> str:
        kinds = {item.kind for item in self.fields}
        if kinds == {"composite"}:
            return "composites of mRFP, EGFP and transmitted light"
        if kinds == {"picture"} and not any(source.role for source in self.channels):
            return "pictures of three colours, none of them named"
        return ", ".join(f"{source.called} = {source.role or 'not known'}" for source in self.channels)

    def as_dict(self) -> dict[str, Any]:
        """For ``plate.json``: what was understood and assumed, and where every file is; see :meth:`from_dict`."""
        wells = None if self.wells is None else self.wells.astype(object).where(self.wells.notna(), None)
        return {
            "folder": str(self.folder),
            "scheme": self.scheme,
            "fields": len(self.fields),
            "channels": [{"token": s.token, "name": s.name, "role": s.role} for s in self.channels],
            "plate_map": self.map_file,
            "map_columns": list(self.map_columns),
            "pixel_size_um": sorted({item.pixel_size_um for item in self.fields if item.pixel_size_um}),
            "notes": list(self.notes),
            "wells": None if wells is None else wells.to_dict("records"),
            "files": json.loads(json.dumps([asdict(item) for item in self.fields], default=str)),
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> "Plate":
        """The plate that :meth:`as_dict` told of, its paths as they were."""
        wells = told["wells"]
        if wells is not None:
            keys = ["field"] if wells and "field" in wells[0] else ["plate", "well"]
            names = [*keys, *told["map_columns"]]
            wells = pd.DataFrame(wells, columns=names, dtype=object)
            wells = wells.astype({"dose": "float64"}) if "dose" in names else wells
        fields = tuple(_field_of(item) for item in told["files"])
        return cls(Path(told["folder"]), told["scheme"], fields, wells, told["plate_map"], tuple(told["notes"]))


def _field_of(told: Mapping[str, Any]) -> FieldFiles:
    sources = tuple(
        Source(**{**source, "slices": tuple((Path(path), z) for path, z in source["slices"])})
        for source in told["sources"]
    )
    paths = {name: told.get(name) and Path(told[name]) for name in ("labels", "ignore", "original")}
    return FieldFiles(**{**told, "sources": sources, **paths})


def role_rank(role: str | None) -> tuple[int, str]:
    """Sort key of a channel: reporter channels first, markers by name, what is not known last."""
    if role is None:
        return len(ROLE_ORDER) + 1, ""
    return (ROLE_ORDER.index(role), "") if role in ROLE_ORDER else (len(ROLE_ORDER), role)


def plates_apart(fields: pd.DataFrame) -> pd.Series:
    """Name of the plate of each field, '' where it is not known; with the date where plates of one name are several.

    They are where a well was imaged on two dates at one timepoint; a plate that took several days is one. Images of no
    well are of no plate that days could tell apart.
    `fields` has columns of :data:`IDENTITY`.

    >>> rows = [("P", "A01", 1, 1, "240301"), ("P", "A01", 1, 1, "240308"), ("Q", "A01", 1, 1, "240308")]
    >>> plates_apart(pd.DataFrame(rows, columns=IDENTITY)).tolist()
    ['P 240301', 'P 240308', 'Q']
    >>> rows = [("P", "A01", None, None, "240301"), ("P", "A01", None, None, "240308")]
    >>> plates_apart(pd.DataFrame(rows, columns=IDENTITY)).tolist()
    ['P 240301', 'P 240308']
    >>> rows = [(None, None, None, None, "240301"), (None, None, None, None, "240308")]
    >>> plates_apart(pd.DataFrame(rows, columns=IDENTITY)).tolist()
    ['', '']
    """
    fields = fields.reindex(columns=IDENTITY)
    names, dates = (fields[name].fillna("").astype(str) for name in ("plate", "date"))
    placed = fields.assign(plate=names, date=dates)[fields["well"].notna()]
    days = placed.groupby(["plate", "well", "site", "timepoint"], dropna=False)["date"].nunique().groupby(level=0).max()
    return names.where(~names.isin(days.index[days > 1]), (names + " " + dates).str.strip())
