"""From files and what their names say to fields: which files belong together, and which field is which plane."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from cellular.data.channels import is_channel_word
from cellular.data.formats.image_file import ImageInfo, describe_image
from cellular.data.plate import FieldFiles, Kind, Source
from cellular.data.schemes import Parts
from cellular.data.wells import well_name
from cellular.errors import CellularError, InputError, SettingsError

COLOURS = ("red", "green", "blue")
ZChoice = str | int | None


def group_files(
    root: Path, files: Mapping[PurePosixPath, Parts], composites: bool, names: Mapping[str, str], z: ZChoice
) -> list[FieldFiles]:
    """One FieldFiles for each field of view and timepoint, its channels without roles as yet.

    Raises InputError for two files of one channel and slice, a slice that is not there, or channels in files of their
    own that hold different numbers of timepoints.

    Parameters
    ----------
    files : paths under `root`, and what their names say.
    composites : whether a colour picture is a composite into which transmitted light is mixed, as CELLULAR's are.
    names : names of channels by token.
    z : "max", "sum" or the number of a slice, see :func:`cellular.data.find.find_plate`.
    """
    groups: dict[tuple, dict[str | None, dict[int | None, Path]]] = defaultdict(lambda: defaultdict(dict))
    of_group: dict[tuple, Parts] = {}
    for path, parts in files.items():
        group = (parts.plate, parts.well, parts.site, parts.timepoint, parts.date, parts.name, parts.series)
        of_group.setdefault(group, parts)
        slices = groups[group][parts.channel]
        if parts.z in slices:
            raise InputError(
                f"Two files for the same thing, by their names: {slices[parts.z]} and {root / path}; remove one, or "
                "give --pattern with groups for what tells them apart"
            )
        slices[parts.z] = root / path
    several_times = len({parts.timepoint for parts in of_group.values()}) > 1
    fields: list[FieldFiles] = []
    stacked = _stacked(groups.values())
    for group, tokens in groups.items():
        item = _place(of_group[group], several_times)
        if None in tokens:
            # As published: where a field has both a composite and raw channels, the composite is taken.
            for file in tokens[None].values():
                fields += fields_of_file(item, file, composites, z)
        else:
            channels = {token: slices for token, slices in tokens.items() if token is not None}
            fields += _of_channels(item, channels, names, z, stacked)
    return fields


def gathered_note(root: Path, fields: Iterable[FieldFiles]) -> list[str]:
    """A remark where channels of one field were put together from several folders that are not called as channels."""
    for item in fields:
        folders = dict.fromkeys(source.slices[0][0].parent for source in item.sources)
        if len(folders) > 1:
            names = [path.relative_to(root).as_posix() for path in folders]
            apart = [part for name in names for part in name.split("/") if not all(part in n.split("/") for n in names)]
            if not all(is_channel_word(part) for part in apart):
                return [
                    f"channels of {item.name} are taken from the folders {' and '.join(names)}, where its name stands: "
                    "if these are of several experiments give --pattern, with the folder in (?P<series>...)"
                ]
    return []


def name_fields(files: Mapping[PurePosixPath, Parts]) -> dict[PurePosixPath, FieldFiles]:
    """The field that each file shows, by its name alone: for label images, a file a field."""
    several_times = len({parts.timepoint for parts in files.values()}) > 1
    return {path: _place(parts, several_times) for path, parts in files.items()}


def _place(parts: Parts, several_times: bool) -> FieldFiles:
    """A field without files as yet, named the same for one place whoever's microscope named the files."""
    where = (parts.plate, parts.well, None if parts.site is None else f"s{parts.site}")
    place = "_".join(part for part in where if part)
    if parts.name is not None:
        cellular = parts.date and parts.plate and parts.well
        series = f"{parts.date}-{place}" if cellular else parts.series or parts.name
        name = parts.name
    else:
        series = parts.series or place
        name = f"{series}_t{parts.timepoint:03d}" if several_times and parts.timepoint is not None else series
    return FieldFiles(name, (), "raw", parts.plate, parts.well, parts.site, parts.timepoint, parts.date, series=series)


Files = Mapping[int | None, Path]  # of one channel by the slice that their names give


def _stacked(groups: Iterable[Mapping[str | None, Files]]) -> set[str]:
    """Channels whose first file is a stack: every file of these is looked into, and no other; a plate has many."""
    first: dict[str, Path] = {}
    for tokens in groups:
        for token, files in tokens.items():
            if token is not None and None in files:
                first.setdefault(token, files[None])
    return {token for token, path in first.items() if _stack_in(path)}


def _stack_in(path: Path) -> ImageInfo | None:
    """What the only image of a file is, where that has one channel, and slices or timepoints."""
    try:
        scenes = describe_image(path)
    except CellularError:
        return None  # what is wrong with it is said when it is its turn
    sizes = scenes[0].sizes
    stack = len(scenes) == 1 and sizes.get("C", 1) == 1 and max(sizes.get("Z", 1), sizes.get("T", 1)) > 1
    return scenes[0] if stack else None


def _of_channels(
    item: FieldFiles, tokens: Mapping[str, Files], names: Mapping[str, str], z: ZChoice, stacked: set[str]
) -> list[FieldFiles]:
    """The field, or one for each timepoint, with a file, a stack of files or a stack in one file for each channel."""
    looked = {t: _stack_in(files[None]) for t, files in tokens.items() if t in stacked and set(files) == {None}}
    infos = {token: info for token, info in looked.items() if info is not None}
    times = {token: infos[token].sizes.get("T", 1) if token in infos else 1 for token in tokens}
    if len(set(times.values())) > 1:
        told = ", ".join(f"{count} in {token}" for token, count in times.items())
        path = next(iter(tokens[max(times, key=lambda token: times[token])].values()))
        raise InputError(f"{path}: channels of {item.name} hold different numbers of timepoints, {told}")
    fields = []
    for t in range(max(times.values())):
        sources, projection = [], None
        for token, files in tokens.items():
            slices: dict[int | None, tuple[Path, int]]
            if token in infos:
                slices = {level + 1: (files[None], level) for level in range(infos[token].sizes.get("Z", 1))}
            else:
                slices = {level: (files[level], 0) for level in sorted(files, key=lambda n: -1 if n is None else n)}
            chosen, used = _project(slices, z, item.name)
            projection = projection or used
            sources.append(Source(token, names.get(token, ""), None, chosen, 0 if token in infos else None, t=t))
        here = _named_scene(item, next(iter(infos.values())), t, 1) if max(times.values()) > 1 else item
        fields.append(replace(here, sources=tuple(sources), projection=projection))
    return fields


def _project(
    slices: Mapping[int | None, tuple[Path, int]], z: ZChoice, name: str
) -> tuple[tuple[tuple[Path, int], ...], str | None]:
    """The slices to read, and how they become one image; `slices` are by their numbers, in the order of these.

    A file whose name has no number, None, is no slice of a stack.
    """
    every = tuple(slices.values())
    first = every[0][0]
    if z not in (None, "max", "sum") and set(slices) != {None}:
        return (_slice(slices, z, name),), None
    if len(slices) == 1:
        return every, None
    if z is None:
        count = len(slices.keys() - {None})
        raise InputError(f"{first}: {name} is a z-stack of {count} slices; say --z max, --z sum or the number of one")
    if None in slices:
        raise InputError(
            f"{first}: it is no slice by its name, and {every[1][0]} is one of the same stack; move one away: what is "
            "projected already is not projected with the others"
        )
    return every, str(z)


def _slice(slices: Mapping[int | None, tuple[Path, int]], z: ZChoice, name: str) -> tuple[Path, int]:
    """The slice that files call `z`."""
    try:
        number = int(z or 0)
    except ValueError as error:
        raise SettingsError(f"z is '{z}'; use max, sum or the number of a slice") from error
    if number not in slices:
        known = ", ".join(str(one) for one in slices if one is not None)
        raise InputError(f"{next(iter(slices.values()))[0]}: {name} has no slice {number}; it has {known}")
    return slices[number]


def fields_of_file(item: FieldFiles, path: Path, composites: bool, z: ZChoice) -> list[FieldFiles]:
    """The fields in one file that holds all channels: one, or one for each of its scenes and timepoints."""
    try:
        scenes = describe_image(path)
    except CellularError:
        # What is wrong with it is said when it is its turn, by name, and the others are done.
        kind: Kind = "composite" if composites else "raw"
        return [replace(item, sources=(Source("", "", None, ((path, 0),), None),), kind=kind)]
    fields = []
    for info in scenes:
        for t in range(info.sizes.get("T", 1)):
            here = _named_scene(item, info, t, len(scenes))
            fields.append(_of_scene(here, path, info, t, composites, z))
    return fields


def _named_scene(item: FieldFiles, info: ImageInfo, t: int, scenes: int) -> FieldFiles:
    """The field's name with its scene's and its timepoint's, where the file holds several."""
    name, series = item.name, item.series
    if scenes > 1:
        part = info.name or f"scene{info.scene + 1}"
        name, series = f"{name}_{_safe(part)}", f"{series}_{_safe(part)}"
        well = info.well or (well_name(info.name) if info.name else None)
        item = replace(item, well=item.well or well, site=item.site if well is None else info.scene + 1)
    several = info.sizes.get("T", 1) > 1
    if several and item.timepoint is not None:
        raise InputError(f"{item.name}: its name gives a timepoint, and the file holds {info.sizes['T']} of them")
    if several or (info.times and item.timepoint is None):
        number = (info.times[t] if info.times else t) + 1
        return replace(item, name=f"{name}_t{number:03d}", series=series, timepoint=number)
    return replace(item, name=name, series=series) if scenes > 1 else item


def _of_scene(item: FieldFiles, path: Path, info: ImageInfo, t: int, composites: bool, z: ZChoice) -> FieldFiles:
    if info.slices_elsewhere:
        raise InputError(
            f"{path}: its z-stack goes on in other files, which have {info.slices_elsewhere} more slices of it; save a "
            "stack in one file"
        )
    slices, projection = _project({level + 1: (path, level) for level in range(info.sizes.get("Z", 1))}, z, item.name)
    source = partial(Source, slices=slices, scene=info.scene, t=t)
    if info.rgb and composites:
        sources = [source("", "", None, index=None)]
        return replace(item, sources=tuple(sources), kind="composite", projection=projection)
    if info.rgb:
        sources = [source(colour, "", None, index=k) for k, colour in enumerate(COLOURS)]
        return replace(item, sources=tuple(sources), kind="picture", projection=projection)
    count = info.sizes.get("C", 1)
    names = info.channels if len(info.channels) == count else ("",) * count
    sources = [source(str(k + 1), name, None, index=k) for k, name in enumerate(names)]
    return replace(item, sources=tuple(sources), projection=projection)


def _safe(text: str) -> str:
    """`text` as part of a file name."""
    return "".join(c if c.isalnum() or c in "-." else "-" for c in text.strip()) or "scene"
