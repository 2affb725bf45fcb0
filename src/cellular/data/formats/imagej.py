"""ImageJ ROIs: one ``.roi`` or a ``.zip`` of them."""

import re
from pathlib import Path

from cellular.data.archive.remote_zip import check_members, files_in, open_zip
from cellular.data.formats.annotation import DEFAULT_CLASS, Annotation
from cellular.data.formats.boxes import from_box
from cellular.errors import InputError, import_extra
from cellular.labels.outlines import fill


def read_imagej(path: Path, shape: tuple[int, int], field: str | None = None) -> list[Annotation]:
    """Cells of an ImageJ ROI file; the class is the ROI's property ``class``, else its group's number.

    Ovals become ellipses, composite ROIs keep their holes. ROIs without an area (points, lines) raise InputError.
    """
    roifile = import_extra("roifile", "export")
    if path.suffix.lower() == ".roi":
        return [_annotation(roifile.ImagejRoi.frombytes(path.read_bytes()), path.name, shape, roifile)]
    with open_zip(path) as archive:
        members = [member for member in files_in(archive) if member.filename.lower().endswith(".roi")]
        check_members(members, path.stat().st_size, str(path))
        if not members:
            raise InputError(f"{path} holds no ImageJ ROIs (.roi)")
        return [
            _annotation(roifile.ImagejRoi.frombytes(archive.read(m)), f"{path.name}#{m.filename}", shape, roifile)
            for m in members
        ]


def _annotation(roi, source: str, shape: tuple[int, int], roifile) -> Annotation:
    kind = roifile.ROI_TYPE
    if roi.roitype == kind.OVAL:
        cell = from_box(roi.left, roi.top, roi.right - roi.left, roi.bottom - roi.top, shape)
    elif roi.multi_coordinates is not None or roi.roitype in (kind.POLYGON, kind.FREEHAND, kind.TRACED, kind.RECT):
        cell = fill(roi.coordinates(multi=True), shape)
    else:
        raise InputError(f"{source} is a {kind(roi.roitype).name.lower()}, which has no area")
    written = re.search(r"^class: *(.+)$", roi.props or "", re.MULTILINE)
    return Annotation(
        written[1].strip() if written else f"group_{roi.group}" if roi.group else DEFAULT_CLASS, cell, source
    )
