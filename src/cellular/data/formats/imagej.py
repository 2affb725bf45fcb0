"""ImageJ ROIs: one ``.roi`` or a ``.zip`` of them.

Read by what ImageJ's RoiDecoder and RoiManager do: a ROI's place in a stack is in its position, or in the first four
digits of its name ("0003-0120-0080"); a text or image of an overlay is stored as a rectangle.
"""

import re
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

import numpy as np

from cellular.data.archive.remote_zip import check_members, files_in, open_zip
from cellular.data.formats.annotation import DEFAULT_CLASS, Annotation, Remarks
from cellular.errors import InputError, import_extra
from cellular.labels.cells import CellMask
from cellular.labels.outlines import Ring, ellipse_in, fill, fill_contour

_SLICE_NAME = re.compile(r"^(\d{4})-\d{4}-\d{4}")
_UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
_CURVE = np.linspace(0, 1, 17)[1:, None]  # steps along a curve of a composite ROI


def read_imagej(path: Path, shape: tuple[int, int], field: str | None, remarks: Remarks) -> list[Annotation]:
    """Cells of an ImageJ ROI file; the class is the ROI's property ``class``, else its group's number.

    Ovals become ellipses, composite ROIs keep their holes. ROIs without an area (points, lines) are left out and
    named. Raises InputError where the ROIs lie on several slices of a stack.
    """
    roifile = import_extra("roifile", "export")
    found: list[Annotation] = []
    planes: set[str] = set()
    for source, content in _members(path):
        with remarks.item(source, "imagej"):
            roi = roifile.ImagejRoi.frombytes(content)
            found.append(_annotation(roi, _properties(roi, content), source, shape, roifile))
            if plane := _plane(roi):
                planes.add(plane)
    if len(planes) > 1:
        raise InputError(f"{path} holds ROIs of {len(planes)} slices, {sorted(planes)[:4]}; save those of one slice")
    return found


def _members(path: Path) -> list[tuple[str, bytes]]:
    """Each ROI's source and bytes."""
    if path.suffix.lower() == ".roi":
        return [(path.name, path.read_bytes())]
    with open_zip(path) as archive:
        members = _rois_in(archive, path)
        check_members(members, path.stat().st_size, str(path))
        return [(f"{path.name}#{member.filename}", archive.read(member)) for member in members]


def check_rois(path: Path) -> None:
    """Raise InputError for a zip that holds other things than ROIs, such as a dataset's archive."""
    with open_zip(path) as archive:
        _rois_in(archive, path)


def _rois_in(archive: ZipFile, path: Path) -> list[ZipInfo]:
    members = [member for member in files_in(archive) if member.filename.lower().endswith(".roi")]
    if not members and files_in(archive):  # an empty one is of a field without cells
        raise InputError(f"{path} holds no ImageJ ROIs (.roi); the archive of a dataset is unpacked first")
    return members


def _plane(roi: Any) -> str | None:
    """The slice that a ROI is on; None where it is on none or on all. Channels do not count: they show one field."""
    if roi.z_position or roi.t_position:
        return f"z {roi.z_position} t {roi.t_position}"
    named = _SLICE_NAME.match(roi.name or "")
    number = roi.position or (int(named[1]) if named else 0)
    return f"slice {number:04d}" if number else None


def _properties(roi: Any, content: bytes) -> dict[str, str]:
    """Class and label among a ROI's properties.

    Found here by the offsets of ImageJ's RoiDecoder: roifile before 2026.1.20, all there is for Python 3.10, takes the
    end from the offset of the name and cuts the text short.
    """
    if not roi.props:
        return {}
    (header,) = struct.unpack(f"{roi.byteorder}i", content[60:64])
    start, length = struct.unpack(f"{roi.byteorder}ii", content[header + 40 : header + 48])
    text = content[start : start + 2 * length].decode(roi.utf16)
    return dict(re.findall(r"^(class|label): *(.+?) *$", text, re.MULTILINE))


def _annotation(roi: Any, properties: dict[str, str], source: str, shape: tuple[int, int], roifile: Any) -> Annotation:
    kind, subtype = roifile.ROI_TYPE, roifile.ROI_SUBTYPE
    if roi.subtype in (subtype.TEXT, subtype.IMAGE):
        raise InputError(f"{source} is a {subtype(roi.subtype).name.lower()} of an overlay, not a cell")
    areas = (kind.POLYGON, kind.FREEHAND, kind.TRACED, kind.RECT, kind.OVAL)
    if roi.multi_coordinates is None and roi.roitype not in areas:
        raise InputError(f"{source} is a {kind(roi.roitype).name.lower()}, which has no area")
    name = properties.get("class") or (f"group_{roi.group}" if roi.group else DEFAULT_CLASS)
    label = properties.get("label", "")
    return Annotation(name, _cell(roi, shape, roifile), source, label=int(label) if label.isdecimal() else None)


def _cell(roi: Any, shape: tuple[int, int], roifile: Any) -> CellMask:
    kind = roifile.ROI_TYPE
    if roi.multi_coordinates is not None:
        return fill(_rings(np.asarray(roi.multi_coordinates, float).tolist()), shape)
    if roi.roitype in (kind.RECT, kind.OVAL):
        x, y, width, height = roi.left, roi.top, roi.right - roi.left, roi.bottom - roi.top
        if roi.options & roifile.ROI_OPTIONS.SUB_PIXEL_RESOLUTION and roi.widthd > 0 and roi.heightd > 0:
            x, y, width, height = roi.xd, roi.yd, roi.widthd, roi.heightd
        if not (width > 0 and height > 0):
            raise InputError(f"a box {width} px wide and {height} px high")
        ring = ellipse_in(x, y, width, height) if roi.roitype == kind.OVAL else _rectangle(roi, x, y, width, height)
        return fill([ring], shape)
    corners = np.asarray(roi.coordinates())
    return fill_contour(corners, shape) if _is_contour(roi, corners, kind) else fill([corners], shape)


def _rectangle(roi: Any, x: float, y: float, width: float, height: float) -> Ring:
    """A rectangle whose corners are quarters of an ellipse as wide and high as ImageJ's arc size, px."""
    arc_x, arc_y = min(roi.rounded_rect_arc_size, width), min(roi.rounded_rect_arc_size, height)
    if not arc_x:
        return np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]])
    ring = ellipse_in(x, y, arc_x, arc_y)
    return ring + np.where(ring > np.array([x + arc_x / 2, y + arc_y / 2]), [width - arc_x, height - arc_y], 0)


def _is_contour(roi: Any, corners: np.ndarray, kind: Any) -> bool:
    """Whether a ROI is one that Cellpose saved: a chain of neighbouring pixels, not a line along their corners."""
    if roi.roitype != kind.FREEHAND or roi.subpixel_coordinates is not None or not _UUID.match(roi.name or ""):
        return False
    steps = [np.abs(b - a).max() for a, b in pairwise([*corners, corners[0]])]
    return len(corners) > 2 and all(step == 1 for step in steps)


def _rings(path: list[float]) -> list[Ring]:
    """Rings of a composite ROI's path: java.awt.geom.PathIterator's move, line, two curves and close, by number."""
    rings: list[list[np.ndarray]] = []
    points: list[np.ndarray] = []
    at = 0
    while at < len(path):
        command = int(path[at])
        count = {0: 1, 1: 1, 2: 2, 3: 3, 4: 0}.get(command)
        if count is None:
            raise InputError(f"a composite ROI with the unknown path command {command}")
        given = np.reshape(path[at + 1 : at + 1 + 2 * count], (-1, 2))
        at += 1 + 2 * count
        if command == 0 and points:
            rings.append(points)
            points = []
        if command in (2, 3):
            points += list(_bezier(np.array([points[-1], *given])))
        else:
            points += list(given)
    # A last point by itself is where ImageJ moved to and drew nothing.
    return [np.array(ring) for ring in (*rings, points) if len(ring) > 2]


def _bezier(control: np.ndarray) -> np.ndarray:
    """Points (16, 2) along the Bézier curve of 3 or 4 control points, by de Casteljau's repeated halving."""
    levels = [np.broadcast_to(point, (len(_CURVE), 2)) for point in control]
    while len(levels) > 1:
        levels = [(1 - _CURVE) * a + _CURVE * b for a, b in pairwise(levels)]
    return levels[0]
