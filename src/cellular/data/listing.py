"""The images of a folder, or of the folders below it, and what is said of those that are not taken."""

import filecmp
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from cellular.data.formats.ome_zarr import is_ome_zarr
from cellular.data.formats.suffixes import TIFF_SUFFIXES, VENDOR_SUFFIXES, kind_of, suffix_of
from cellular.data.label_files import is_image, scan

# What a folder of results is known by: the plate that they are of, beside the record of the command that made them.
PLATE = "plate.json"
# What desktops and browsers call a copy: "x (1).tif", "x - Copy (2).tif", "x copy.tif", "Copy of x.tif".
_WORD = r"(?:copy|kopie|copie|copia)"
_COPY = re.compile(
    rf"(?:{_WORD} (?:of|von|de|di) (?P<whole>.+?)"
    rf"|(?P<of>.+?)[ _-]*(?:\((?:\d+|{_WORD})\)|[ _-]{_WORD}(?: ?\(?\d+\)?)?))"
    r"(?P<ending>(?:\.ome)?\.[^.]+)",
    re.IGNORECASE,
)
_RECORDS = ("analyse.json", "measure.json", "quality.json", "segment.json")


def list_files(folder: Path) -> tuple[list[PurePosixPath], list[str]]:
    """Files in `folder`, or, where it holds no image itself, in its subfolders; hidden ones left out; sorted.

    A Zarr group counts as a file, other folders that are named as images are left out. Links are followed, a folder
    once. Results that `cellular` wrote below `folder` are no part of a plate: their pictures and label images are not
    looked at. The second list tells of images in subfolders where `folder` holds some itself.
    """
    entries = scan(folder)
    here = [PurePosixPath(one.name) for one in entries if not (one.is_dir() and _is_mere_folder(folder, one.name))]
    images = [path for path in here if kind_of(path.name) == "image"]
    if not images:
        return sorted(_below(folder), key=lambda path: path.parts), []
    kinds = {suffix_of(path) for path in images} | {*TIFF_SUFFIXES, *VENDOR_SUFFIXES}
    folders = [one.name for one in entries if one.is_dir() and not is_image(folder / one.name)]
    passed = sorted(
        f"{name}/{path}"
        for name in folders
        for path in _below(folder / name)
        if kind_of(path.name) == "image" and suffix_of(path) in kinds
    )
    if not passed:
        return here, []
    note = (
        f"{len(passed)} image(s) in folders below are not read, first {passed[0]}: {images[0]} lies in the folder "
        "itself"
    )
    return here, [f"{note}; where they belong together, put all into folders"]


def without_copies(root: Path, files: Sequence[PurePosixPath]) -> tuple[list[PurePosixPath], list[str]]:
    """The `files` (paths under `root`) without those that are called a copy of another, and are it byte by byte.

    Their cells would count twice. The second list says so.
    """
    there = set(files)
    copies = {}
    for path in files:
        if match := _COPY.fullmatch(path.name):
            original = path.with_name(f"{match['of'] or match['whole']}{match['ending']}")
            with suppress(OSError):
                if original in there and filecmp.cmp(root / original, root / path, shallow=False):
                    copies[path] = original
    first = [f"{len(copies)} copies of other files left out, first {one} of {of.name}" for one, of in copies.items()]
    return [path for path in files if path not in copies], first[:1]


def _below(folder: Path) -> Iterator[PurePosixPath]:
    """Every file below a folder, relative to it."""
    seen = set()
    for top, folders, files in os.walk(folder, followlinks=True):
        place = Path(top)
        if (real := os.path.realpath(top)) in seen:  # a link to a folder that was looked into, maybe one above itself
            folders.clear()
            continue
        seen.add(real)
        if _is_run(place):
            folders.clear()
            continue
        groups = [name for name in folders if is_image(place / name)]
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in groups)
        below = PurePosixPath(place.relative_to(folder).as_posix())
        yield from (below / name for name in (*files, *groups) if not name.startswith("."))


def _is_run(folder: Path) -> bool:
    """Whether `cellular` wrote results of a plate there."""
    return (folder / PLATE).is_file() and any((folder / name).is_file() for name in _RECORDS)


def _is_mere_folder(folder: Path, name: str) -> bool:
    """Whether a folder is named as an image, and is none."""
    return kind_of(name) == "image" and not is_ome_zarr(folder / name)
