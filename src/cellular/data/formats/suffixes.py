"""The one table of file endings: what is an image, what are its labels, and what the field is called."""

import os
import unicodedata
from functools import lru_cache
from pathlib import Path, PurePath

TIFF_SUFFIXES = (".tif", ".tiff", ".btf", ".tf8", ".stk", ".lsm")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")
WRITTEN_SUFFIXES = (".tif", ".tiff", *PICTURE_SUFFIXES)
IMAGE_SUFFIXES = (*TIFF_SUFFIXES, *PICTURE_SUFFIXES)
ZARR_SUFFIXES = (".zarr",)
VENDOR_SUFFIXES = (".czi", ".nd2", ".lif", ".oib", ".oif", ".oir", ".vsi", ".dv", ".ims", ".sld", ".sldy")
# Images that nobody here reads: they are named, for whoever has some among others would miss them in silence.
UNREAD_SUFFIXES = (
    *(".bmp", ".dib", ".gif", ".webp", ".heic", ".avif", ".jp2", ".j2k", ".jxl", ".pgm", ".ppm", ".pnm", ".fits"),
    *(".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".qptiff", ".zvi", ".flex", ".ids", ".ics", ".mrc", ".dcm", ".nrrd"),
    *(".h5", ".hdf5", ".n5", ".npz", ".mat", ".pdf", ".psd", ".avi", ".mp4", ".mov"),
)

# What stands between a field's name and the ending; the longer before those it ends in.
MASKS_SUFFIX = "_masks"
IGNORE_SUFFIX = "_ignore"
# Label images of nuclei, in folders of label images only: elsewhere a file so named is an image of DNA.
NUCLEI_SUFFIX = "_nuclei"
LABEL_MARKS = ("_cp_masks", MASKS_SUFFIX, "_labels")
# Files of cells that are no image: their whole ending.
LABEL_FILES = ("_seg.npy",)
ANNOTATION_FILES = (
    "_cp_outlines.txt",
    "_outlines.txt",
    "_rois.zip",
    "_roiset.zip",
    ".zip",
    ".roi",
    ".geojson",
    ".json",
    ".txt",
    ".npy",
)


# Longer endings before those they end in; images first, which most files are.
_KNOWN = (*IMAGE_SUFFIXES, *LABEL_FILES, *ANNOTATION_FILES, *ZARR_SUFFIXES, *VENDOR_SUFFIXES)


def suffix_of(path: str | PurePath) -> str:
    """Ending of a file's name in small letters, ``.ome`` left out: ``.tif`` of ``a.OME.TIF``, ``_seg.npy``; "" if none.

    >>> suffix_of("A01.OME.TIF"), suffix_of("a_seg.npy"), suffix_of("notes.odt")
    ('.tif', '_seg.npy', '')
    """
    return _suffix(os.path.basename(path))


@lru_cache(1 << 15)
def _suffix(name: str) -> str:
    name = name.casefold()
    return next((suffix for suffix in _KNOWN if name.endswith(suffix)), "") if name.endswith(_KNOWN) else ""


def kind_of(path: str | PurePath) -> str | None:
    """What a file is by its name: "image", "labels", "ignore" or "annotations"; None for what is none of them.

    >>> [kind_of(name) for name in ("f.TIF", "f_cp_masks.png", "f_seg.npy", "f_ignore.tif", "f.geojson", "f.md")]
    ['image', 'labels', 'labels', 'ignore', 'annotations', None]
    """
    return _kind(os.path.basename(path))


@lru_cache(1 << 15)
def _kind(name: str) -> str | None:
    suffix = _suffix(name)
    if not suffix or name.startswith("."):
        return None
    if suffix in LABEL_FILES:
        return "labels"
    if suffix in ANNOTATION_FILES:
        return "annotations"
    stem = _bare(name, suffix).casefold()
    if stem.endswith(IGNORE_SUFFIX):
        return "ignore"
    return "labels" if stem.endswith(LABEL_MARKS) else "image"


def field_name(path: str | PurePath) -> str:
    """The field's name that a file goes by: without ending, ``.ome`` and the marks of labels, in Unicode's form NFC.

    An image and its labels have one field name, whatever the case of their endings and the form of their letters.

    >>> field_name("A01.ome.tif"), field_name("A01_cp_masks.PNG"), field_name("A01.ome_masks.tif")
    ('A01', 'A01', 'A01')
    """
    return _field_name(os.path.basename(path))


@lru_cache(1 << 15)
def _field_name(name: str) -> str:
    stem = _bare(name, _suffix(name))
    mark = next((mark for mark in (*LABEL_MARKS, IGNORE_SUFFIX) if stem.casefold().endswith(mark)), "")
    return _without_ome(stem[: len(stem) - len(mark)])


def nuclei_field(path: str | PurePath) -> str | None:
    """The field whose nuclei a file would hold by its name, were it a label image; None for one that is not so named.

    >>> nuclei_field("A01_nuclei.tif"), nuclei_field("A01_masks.tif")
    ('A01', None)
    """
    stem = _bare(path, suffix_of(path))
    named = suffix_of(path) in IMAGE_SUFFIXES and stem.casefold().endswith(NUCLEI_SUFFIX)
    return _without_ome(stem[: len(stem) - len(NUCLEI_SUFFIX)]) if named else None


def _bare(path: str | PurePath, suffix: str) -> str:
    name = unicodedata.normalize("NFC", os.path.basename(path))
    return _without_ome(name[: len(name) - len(suffix)])


def _without_ome(stem: str) -> str:
    return stem[:-4] if stem.casefold().endswith(".ome") else stem


def label_path(out: Path, name: str) -> Path:
    """Where the label image of a field called `name` goes in folder `out`."""
    return out / f"{name}{MASKS_SUFFIX}.tif"


def same_name(name: str) -> str:
    """A field's name as it is compared: two spellings of one letter in Unicode are one name.

    >>> same_name("cafe\u0301") == same_name("caf\u00e9")
    True
    """
    return unicodedata.normalize("NFC", name)
