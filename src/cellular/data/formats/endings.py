"""How files with labels or outlines are called: the field's name, then one of these endings. One table for all."""

from cellular.data.formats.images import IMAGE_SUFFIXES

# Ending, compared in lower case -> format, a key of `read.FORMATS`; "json" is told by its content.
ENDINGS = {
    "_seg.npy": "cellpose",
    **{f"{kind}{suffix}": "labels" for kind in ("_cp_masks", "_masks") for suffix in IMAGE_SUFFIXES},
    **dict.fromkeys(("_rois.zip", "_roiset.zip", ".zip", ".roi"), "imagej"),
    **dict.fromkeys(("_cp_outlines.txt", "_outlines.txt"), "outlines"),
    ".geojson": "geojson",
    ".json": "json",
    ".txt": "yolo",
}
# Those that say by themselves that a file holds one field's labels; ".txt", ".json" and ".zip" can be anything.
LABEL_ENDINGS = tuple(ending for ending in ENDINGS if ending not in (".zip", ".json", ".txt"))
_LONGEST_FIRST = sorted(ENDINGS, key=len, reverse=True)
# Cellpose writes the same cells several times; its GUI corrects the first.
CELLPOSE_ENDINGS = ("_seg.npy", "_cp_masks", "_masks", "_rois.zip", "_cp_outlines.txt", "_outlines.txt")


def split_ending(name: str) -> tuple[str, str] | None:
    """A file's name as (field's name, ending in lower case); None where it has none of the endings.

    >>> split_ending("f_cp_masks.TIF"), split_ending("f.tif")
    (('f', '_cp_masks.tif'), None)
    """
    lower = name.lower()
    ending = next((ending for ending in _LONGEST_FIRST if lower.endswith(ending) and len(ending) < len(name)), None)
    return None if ending is None else (name[: -len(ending)], ending)


def cellpose_rank(name: str) -> int | None:
    """Place of a file among what Cellpose writes of one image, the best first; None for other files."""
    found = split_ending(name)
    ranks = [k for k, start in enumerate(CELLPOSE_ENDINGS) if found and found[1].startswith(start)]
    return ranks[0] if ranks else None
