"""Which format a file with labels or outlines is in, by its name alone; the names' endings are in `suffixes`."""

from pathlib import PurePath

from cellular.data.formats.suffixes import kind_of, suffix_of

# Ending -> format, a key of `read.FORMATS`; "json" is told by its content.
_FORMATS = {
    **dict.fromkeys(("_seg.npy", ".npy"), "cellpose"),
    **dict.fromkeys(("_rois.zip", "_roiset.zip", ".zip", ".roi"), "imagej"),
    **dict.fromkeys(("_cp_outlines.txt", "_outlines.txt"), "outlines"),
    **{".geojson": "geojson", ".json": "json", ".txt": "yolo"},
}
_ANYTHING = (".npy", ".zip", ".json", ".txt")  # endings that other files have as well
# What Cellpose writes of one image, most telling first: its GUI corrects the first, the last know no holes.
_CELLPOSE = ("_seg.npy", "labels", "_rois.zip", "_cp_outlines.txt", "_outlines.txt")


def named_format(path: str | PurePath) -> str | None:
    """Format of a file by its name; None for an image and for what is no annotation.

    >>> [named_format(name) for name in ("f_cp_masks.TIF", "f_seg.npy", "f.geojson", "f.tif")]
    ['labels', 'cellpose', 'geojson', None]
    """
    kind = kind_of(path)
    return _FORMATS.get(suffix_of(path), "labels") if kind in ("labels", "annotations") else None


def is_one_fields_labels(path: str | PurePath) -> bool:
    """Whether a name says by itself that the file holds the labels of one field."""
    return named_format(path) is not None and suffix_of(path) not in _ANYTHING


def cellpose_rank(path: str | PurePath) -> int | None:
    """Place of a file among what Cellpose writes of one image, the best first; None for other files."""
    key = "labels" if named_format(path) == "labels" else suffix_of(path)
    return _CELLPOSE.index(key) if key in _CELLPOSE else None
