"""ImageJ: ``<field>_rois.zip`` for the ROI manager, a traced ROI per cell, its class as property and group. Exact."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cellular.data.formats.export import Written
from cellular.data.formats.labelled import LabelledField
from cellular.errors import import_extra
from cellular.files import whole_file
from cellular.labels.cells import CellMask, cells_of
from cellular.labels.outlines import outline, rings_of, single_ring


def export_imagej(item: LabelledField, out: Path, names: Sequence[str]) -> Written:
    """Write a field's zip. A traced ROI has one ring, so pieces and holes are joined by seams without area."""
    roifile = import_extra("roifile", "export")
    rois = [_roi(roifile, item.class_of(label), names, label, cell) for label, cell in cells_of(item.labels())]
    path = out / f"{item.name}_rois.zip"
    with whole_file(path) as temporary:
        roifile.roiwrite(temporary, rois, mode="w")
    return Written([path])


def _roi(roifile: Any, class_name: str, names: Sequence[str], label: int, cell: CellMask) -> Any:
    roi = roifile.ImagejRoi.frompoints(single_ring(rings_of(outline(cell))), name=f"{label:05d}-{class_name}")
    roi.roitype = roifile.ROI_TYPE.TRACED
    roi.right, roi.bottom = roi.right - 1, roi.bottom - 1  # corners of pixels, not pixels: no extra one
    roi.group = names.index(class_name) + 1
    roi.props = f"class: {class_name}\nlabel: {label}\n"
    return roi
