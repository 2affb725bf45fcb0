"""`find_plate`: from a folder, or files, to a Plate."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from cellular.data.channels import is_channel_word, parse_channels, role_of
from cellular.data.formats.image_file import describe_image, ome_zarr_plate
from cellular.data.formats.image_info import square
from cellular.data.formats.ome_zarr import ome_attributes, ome_zarr_labels
from cellular.data.formats.suffixes import UNREAD_SUFFIXES, field_name, kind_of, nuclei_field, same_name
from cellular.data.grouping import ZChoice, fields_of_file, gathered_note, group_files, name_fields
from cellular.data.label_files import claimed, entries, find_labels, is_image, match_labels, names_of, of_fields
from cellular.data.listing import list_files, without_copies
from cellular.data.plate import FieldFiles, Plate, Source, role_rank
from cellular.data.platemap import PlateMap, cellular_map, read_plate_map
from cellular.data.schemes import SCHEMES, choose, read_names
from cellular.data.schemes.parts import date_in
from cellular.errors import CellularError, InputError, MissingInputError

ORPHANS = "label image(s) without an image"

_Channel = tuple[str, str]  # token and name


def find_plate(
    source: str | Path | Iterable[str | Path],
    *,
    scheme: str | None = None,
    pattern: str | None = None,
    channels: Sequence[str] = (),
    plate_map: str | Path | PlateMap | None = None,
    pixel_size_um: float | None = None,
    z: ZChoice = None,
    labels: str | Path | None = None,
) -> Plate:
    """Find the fields of a plate, or of several, and read off what their names and files say.

    Parameters
    ----------
    source : a folder of images (looked through to its subfolders where none lie in it directly), an image, an OME-Zarr
        plate or image, or several of these.
    scheme : how names are read, a key of :data:`cellular.data.schemes.SCHEMES`; None finds it.
    pattern : regular expression with named groups, in place of a scheme.
    channels : "ROLE=TOKEN", for instance "mRFP=w3", where names and files do not tell or tell it wrongly. TOKEN is what
        names call the channel, its name in the file, or its number there from 1.
    plate_map : what wells were given, see :func:`cellular.data.platemap.read_plate_map`. CELLULAR's own goes with its
        names by itself.
    pixel_size_um : um; None takes what the files say.
    z : for z-stacks "max", "sum" or the number of a slice: that in the files' names, in one file counted from 1.
    labels : folder of label images; None takes those that lie among the images, if any.

    Raises
    ------
    MissingInputError, InputError : nothing there, names that cannot be read or can be read in two ways, two files for
        one thing, a z-stack without `z`, a channel that is not there.
    SettingsError : an unknown scheme, role or projection.

    Examples
    --------
    >>> import cellular
    >>> from cellular.simulate import SimulationSettings
    >>> made = cellular.simulate("sim", SimulationSettings(fields=1, size_px=160, diameter_px=30))
    >>> plate = cellular.find_plate(made.images)
    >>> plate.scheme, [(item.well, item.site, item.roles) for item in plate.fields]
    ('cellular', [('C05', 1, ('mRFP', 'EGFP', 'transmitted'))])
    """
    given = parse_channels(channels)
    found = [_find_one(Path(item), scheme, pattern, z) for item in _several(source)]
    fields = [item for part in found for item in part.fields]
    if not fields:
        raise InputError(f"No images in {', '.join(map(str, _several(source)))}")
    _refuse_twins(fields)
    _refuse_folders_of_channels(fields)
    notes = [note for part in found for note in part.notes]
    if z in ("max", "sum") and not any(item.projection for item in fields):
        notes.append(f"z-stacks are to be projected (--z {z}), and none is here, by names or files")
    fixed = SCHEMES[found[0].scheme].roles if found[0].scheme in SCHEMES else {}
    fields, role_notes = _with_roles(fields, given, fixed)
    if pixel_size_um is not None:
        fields = [replace(item, pixel_size_um=pixel_size_um) for item in fields]
    schemes = list(dict.fromkeys(part.scheme for part in found))
    plate = Plate(found[0].folder, " and ".join(schemes), tuple(sorted(fields, key=lambda f: f.name)))
    plate = _with_map(plate, plate_map)
    if labels is not None:
        plate = plate.with_labels(match_labels(plate.fields, labels))
    return replace(plate, notes=(*notes, *role_notes, *plate.notes))


def as_plate(source: Plate | str | Path, labels: str | Path | None = None) -> Plate:
    """A plate as it is, or that of a folder by :func:`find_plate`; with the label images in `labels` if given."""
    if not isinstance(source, Plate):
        return find_plate(source, labels=labels)
    return source if labels is None else source.with_labels(match_labels(source.fields, labels))


def _several(source: str | Path | Iterable[str | Path]) -> list[Path]:
    return [Path(source)] if isinstance(source, str | Path) else [Path(item) for item in source]


def _find_one(source: Path, scheme: str | None, pattern: str | None, z: ZChoice) -> Plate:
    """The fields of one folder or file, channels without roles as yet."""
    if not source.exists():
        raise MissingInputError(f"No such image or folder: {source}")
    if source.is_dir() and (wells := ome_zarr_plate(source)) is not None:
        return _hcs_plate(source, wells, z)
    if source.is_dir() and not is_image(source):
        files, passed = list_files(source)
        root = source
    else:
        files, passed, root = [PurePosixPath(source.name)], [], source.parent
    found = _find_among(root, files, source, scheme, pattern, z)
    return replace(found, notes=(*found.notes, *passed))


def _find_among(
    root: Path,
    files: Sequence[PurePosixPath],
    source: Path,
    scheme: str | None,
    pattern: str | None,
    z: ZChoice,
) -> Plate:
    """The fields of these `files`, paths under `root`, channels without roles as yet; `source` is what errors name."""
    files, copies = without_copies(root, files)
    kinds = {path: kind_of(path.name) for path in files}
    marked = [path for path, kind in kinds.items() if kind in ("labels", "ignore")]
    images = [path for path in _without_nuclei(kinds) if kinds[path] == "image"]
    unread = [path for path in files if path.suffix.lower() in UNREAD_SUFFIXES]
    if not images:
        others = "label images" if marked else f"{_kinds(unread)}: save them as TIFF or PNG" if unread else ""
        raise InputError(f"{source} holds no images{', only ' + others if others else ''}")
    chosen = choose(images, scheme, pattern)
    reading = read_names(images, chosen)
    notes = copies
    notes += [f"{len(unread)} files are not read, first {unread[0]}; save {_kinds(unread)} as TIFF"] if unread else []
    if reading.extra:
        notes.append(f"{len(reading.extra)} thumbnails or overviews left out, first {reading.extra[0]}")
    if reading.unread:
        notes.append(f"{len(reading.unread)} files not named as {chosen.name} left out, first {reading.unread[0]}")
    beside = chosen.beside(root, list(reading.parts))
    notes += beside.notes
    fields = group_files(root, reading.parts, chosen.name == "cellular", beside.channels, z)
    notes += gathered_note(root, fields)
    if beside.pixel_size_um:
        notes += _other_size(fields[0], beside.pixel_size_um)
        fields = [replace(item, pixel_size_um=beside.pixel_size_um) for item in fields]
    fields, orphans = _with_labels_beside(root, fields, marked)
    notes += [f"{len(orphans)} {ORPHANS}, first '{orphans[0]}'"] if orphans else []
    return Plate(source, chosen.name, tuple(fields), notes=tuple(notes))


def _other_size(item: FieldFiles, beside_um: float) -> list[str]:
    """What is to be said where an image gives another pixel size (um) than the files beside it."""
    source = item.sources[0]
    try:
        own = describe_image(source.slices[0][0])[source.scene].pixel_size_um
    except (CellularError, IndexError):  # said when it is its turn to be read
        return []
    if own is None or square(own, beside_um):
        return []
    return [
        f"{source.slices[0][0].name} says that a pixel is {own:.4g} um, files beside the images {beside_um:.4g} um, "
        "which is taken; give --pixel_size if it is wrong"
    ]


def _kinds(paths: Sequence[PurePosixPath]) -> str:
    return ", ".join(sorted({path.suffix.lower() for path in paths}))


def _without_nuclei(kinds: Mapping[PurePosixPath, str | None]) -> list[PurePosixPath]:
    """The files without label images of nuclei: ``A01_nuclei.tif`` beside ``A01_masks.tif`` in a folder of labels.

    Where a folder holds other images too, a file of this name is the image of DNA among them.
    """
    kept = []
    by_folder: dict[str, list[PurePosixPath]] = {}
    for path in kinds:
        by_folder.setdefault(str(path).rpartition("/")[0], []).append(path)
    for here in by_folder.values():
        labelled = {same_name(field_name(path)) for path in here if kinds[path] == "labels"}
        if not labelled:
            kept += here
            continue
        images = [path for path in here if kinds[path] == "image"]
        nuclei = [path for path in images if same_name(nuclei_field(path) or "") in labelled]
        kept += [path for path in here if path not in nuclei] if len(nuclei) == len(images) else here
    return kept


def _hcs_plate(folder: Path, wells: Sequence[tuple[str, int, Path]], z: ZChoice) -> Plate:
    """The fields of an OME-Zarr plate."""
    name = field_name(folder)
    fields: list[FieldFiles] = []
    for well, site, group in wells:
        place = f"{name}_{well}_s{site}"
        item = FieldFiles(place, (), "raw", name, well, site, series=place)
        fields += fields_of_file(item, group, False, z)
    runs = ome_attributes(folder)["plate"].get("acquisitions") or ()
    note = f"its images are of {len(runs)} acquisitions, each of which counts as another site: one place may be several"
    return Plate(folder, "ome-zarr", tuple(fields), notes=(note,) if len(runs) > 1 else ())


def _refuse_twins(fields: Sequence[FieldFiles]) -> None:
    first: dict[str, FieldFiles] = {}
    for item in fields:
        if (other := first.setdefault(same_name(item.name), item)) is not item:
            one, two = ((f.images or (f.labels,))[0] for f in (other, item))
            folders = {path.parent for path in (one, two) if path}
            apart = f", their folders as {_folders_apart(item)}" if len(folders) > 1 else ""
            raise InputError(
                f"{one} and {two} would both be called {item.name}; move one away, or name the parts with "
                f"--pattern{apart}"
            )


def _folders_apart(item: FieldFiles) -> str:
    """The pattern that tells folders apart which hold fields of one name, such as `item`."""
    if item.well or len(item.images) != 1:
        return "plates: '(?P<plate>[^/]+)/...'"
    folder = "(?P<date>[^/]+)" if date_in(item.images[0].parent.name) else "[^/]+"
    return f"part of the name: '(?P<series>{folder}/.+)'"


def _refuse_folders_of_channels(fields: Sequence[FieldFiles]) -> None:
    """Raise InputError where "plates" are called as channels, hold the same places, and have one channel each."""
    places: dict[str, set[tuple]] = {}
    for item in fields:
        places.setdefault(item.plate or "", set()).add((item.well, item.site, item.timepoint))
    alike = len(places) > 1 and len({frozenset(there) for there in places.values()}) == 1
    if alike and all(is_channel_word(name) for name in places) and all(len(item.sources) == 1 for item in fields):
        raise InputError(
            f"{fields[0].images[0]}: {' and '.join(sorted(places))} seem to be channels, a folder each, and no plates "
            r"of the same wells; give --pattern, say '(?P<channel>[^/]+)/(?P<well>[^_]+)_s(?P<site>\d+)'"
        )


def _with_labels_beside(
    root: Path, fields: Sequence[FieldFiles], marked: Sequence[PurePosixPath]
) -> tuple[list[FieldFiles], list[str]]:
    """The fields with the label images that lie among their images; and the names of those that fit none."""
    if not marked:
        return list(fields), []
    labels = claimed([path for path in marked if kind_of(path) == "labels"], root)
    ignore = claimed([path for path in marked if kind_of(path) == "ignore"], root)
    used = {name for item in fields for name in names_of(item)}
    own, ignored = of_fields(fields, labels), of_fields(fields, ignore)
    fields = [replace(item, labels=own.get(item.name), ignore=ignored.get(item.name)) for item in fields]
    return fields, sorted(set(labels) - used)


def find_annotated(folder: str | Path, **how: Any) -> Plate:
    """:func:`find_plate` for a folder that `prepare` wrote: every image with its label image beside it.

    Raises InputError also for an image without a label image, or a label image without an image.
    """
    plate = find_plate(folder, **how)
    bare = [item.name for item in plate.fields if item.labels is None]
    if bare:
        raise InputError(
            f"{folder}: {len(bare)} image(s) without a label image, first '{bare[0]}': expected {bare[0]}_masks.png or "
            ".tif beside it (cellular prepare writes them)"
        )
    orphans = [note for note in plate.notes if ORPHANS in note]
    if orphans:
        raise InputError(f"{folder}: {orphans[0]}")
    return plate


def find_images(folder: str | Path, names: Iterable[str], besides: Iterable[Path] = ()) -> dict[str, FieldFiles]:
    """The images in `folder` of the fields called `names`, by every name that label images of theirs may have.

    Files `besides` are no images of theirs. Raises as :func:`find_plate` does, but for a folder without such images;
    and InputError where a name is that of several fields' image.
    """
    folder, starts, besides = Path(folder), tuple(map(same_name, names)), {path.resolve() for path in besides}
    files = [PurePosixPath(name) for name in entries(folder) if (folder / name).resolve() not in besides]
    files = [file for file in files if is_image(folder / file) and same_name(file.name).startswith(starts)]
    if not files:
        return {}
    found = _find_among(folder, files, folder, None, None, None)
    fields, _ = _with_roles(found.fields, {}, SCHEMES[found.scheme].roles)
    by_name: dict[str, FieldFiles] = {}
    for item in fields:
        for key in names_of(item):
            if (other := by_name.setdefault(key, item)) is not item and key in starts:
                raise InputError(f"{folder}: labels called {key} would be of {other.name} and of {item.name}, one file")
    return by_name


def find_label_fields(folder: str | Path, *, scheme: str | None = None, pattern: str | None = None) -> Plate:
    """The fields that the label images in `folder` are of, by their names alone: no images are needed.

    Raises as :func:`find_plate` does.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingInputError(f"No such folder: {folder}")
    found = find_labels(folder).values()
    named = {PurePosixPath(f"{field_name(path)}.tif"): ome_zarr_labels(path) for path in found}
    chosen = choose(list(named), scheme, pattern)
    reading = read_names(list(named), chosen)
    if reading.unread:
        raise InputError(f"{named[reading.unread[0]]} is not named as {chosen.name} does ({chosen.example})")
    fields = name_fields(reading.parts)
    # Their own names, however they were read: tables of their cells call them so.
    fields = {path: replace(item, name=field_name(path), labels=named[path]) for path, item in fields.items()}
    _refuse_twins(list(fields.values()))
    return _with_map(Plate(folder, chosen.name, tuple(sorted(fields.values(), key=lambda f: f.name))), None)


def _with_roles(
    fields: Sequence[FieldFiles], given: Mapping[str, str], fixed: Mapping[str, str]
) -> tuple[list[FieldFiles], list[str]]:
    """The fields with the role of each channel, channels in order of role; and what is to be said of that."""
    # Each order of channels once: of files that hold several, one may have another than the next.
    layouts = {tuple(source.channel for source in item.sources if source.token) for item in fields}
    channels = dict.fromkeys(channel for layout in sorted(layouts) for channel in layout)
    asked = {
        channel: role for called, role in given.items() for channel in _channels_called(called, role, layouts, channels)
    }
    known = {channel: fixed.get(channel[0]) or role_of(channel[1] or channel[0]) for channel in channels}
    roles = {channel: role for channel, role in known.items() if role not in asked.values()}
    roles.update(asked)
    notes = []
    for role in sorted({role for role in roles.values() if role}):
        mine = ([channel for channel in layout if roles.get(channel) == role] for layout in layouts)
        twins = sorted({channel for found in mine if len(found) > 1 for channel in found})
        if twins:
            named = " and ".join(token for token, _ in twins)
            notes.append(f"channels {named} could both be {role}; say which with --channels {role}=...")
            roles |= dict.fromkeys(twins)
    return [_in_order(item, roles) for item in fields], notes


def _in_order(item: FieldFiles, roles: Mapping[_Channel, str | None]) -> FieldFiles:
    # as `replace` does, in a quarter of its time
    sources = [Source(**vars(source) | {"role": roles.get(source.channel)}) for source in item.sources]
    if item.kind != "picture":
        sources.sort(key=lambda source: role_rank(source.role))
    return replace(item, sources=tuple(sources))


def _channels_called(
    called: str, role: str, layouts: Iterable[tuple[_Channel, ...]], channels: Iterable[_Channel]
) -> list[_Channel]:
    """The channels that a user's word stands for: all of this token, or of this name, one in a file.

    Raises InputError where there is none, and for a token that is one channel in some files and another in others.
    """
    wanted, asked = called.casefold(), f"--channels {role}={called}"
    if found := [channel for channel in channels if channel[0].casefold() == wanted]:
        names = {name for _, name in found}
        elsewhere = {name for token, name in channels if token.casefold() != wanted and name}
        if len(names) > 1 and (names & elsewhere or len({role_of(name) for name in names} - {None}) > 1):
            raise InputError(
                f"{asked}: channel {called} is {' in some files, '.join(sorted(names))} in others; say its name"
            )
        return found
    found = [channel for channel in channels if channel[1].casefold() == wanted]
    if not found or any(len(set(layout) & set(found)) > 1 for layout in layouts):
        known = ", ".join(f"{t} ({n})" if n and n != t else t for t, n in channels) or "none that have a name"
        raise InputError(f"{asked}: there is no channel {called}; the channels are {known}")
    return found


def _with_map(plate: Plate, plate_map: str | Path | PlateMap | None) -> Plate:
    """The plate with what its wells were given; wells without an entry, and entries without a well, are noted."""
    if plate_map is None:
        if plate.scheme != "cellular":
            return plate
        known, source = cellular_map(), "CELLULAR's own map"
    else:
        known = plate_map if isinstance(plate_map, PlateMap) else read_plate_map(plate_map)
        source = str(known.path or "the map given")
    if known.by_field:
        fields = ((item.name, item.series, names_of(item)) for item in plate.fields)
        kind, (wells, bare, unused) = "field", known.match_fields(fields)
    else:
        there = [(item.plate, item.well) for item in plate.fields if item.well]
        kind, (wells, bare, unused) = "well", known.match(there)
    notes = list(known.notes)
    if bare:
        notes.append(f"{len(bare)} {kind}s are not in the plate map, first {_well_words(bare[0])}")
    if unused:
        notes.append(f"{len(unused)} entries of the plate map have no images, first {_well_words(unused[0])}")
    if len(bare) == len(wells):
        first = f"its first is {_well_words(unused[0])}" if unused else "it has none"
        none = "no name of an image tells a well; give a map with a column 'field' in place of 'well'"
        seen = f"the images' first is {_well_words(bare[0])}" if bare else none
        raise InputError(f"{source}: no {kind} of {plate.folder} is in this map: {first}, {seen}")
    return replace(plate, wells=wells, map_file=source, notes=(*plate.notes, *notes))


def _well_words(place: tuple[str | None, str]) -> str:
    return " ".join(part for part in place if part)
