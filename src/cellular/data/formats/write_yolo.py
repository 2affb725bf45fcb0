"""YOLO segmentation: ``labels/<field>.txt`` (class and polygon in fractions), ``images/`` and class lists."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from cellular.data.formats.export import Written
from cellular.data.formats.labelled import LabelledField
from cellular.data.formats.write_images import FOLDER, place_image, warn_of_bare
from cellular.files import whole_file
from cellular.labels.cells import CellMask, cells_of
from cellular.labels.outlines import outline, rings_of, single_ring


def export_yolo(item: LabelledField, out: Path, names: Sequence[str]) -> Written:
    """Write a field's image and lines. A line holds one ring, so a cell's pieces and holes are joined by seams."""
    # First, since labels that cannot be read must leave no image: one without lines is a field without cells.
    lines = [f"{names.index(item.class_of(label))} {_corners(cell)}" for label, cell in cells_of(item.labels())]
    # Ultralytics finds an image's labels by its name, with images/ turned into labels/.
    image = out / FOLDER / place_image(item, out)
    # Nor may one stay when its lines go.
    return Written([_write(out / "labels" / f"{image.stem}.txt", lines), *([image] if image.exists() else [])])


def class_lists(fields: Sequence[LabelledField], out: Path, names: Sequence[str], tables: Mapping) -> list[Path]:
    """Write what all fields share: the classes."""
    warn_of_bare(fields)
    listed = [f"  {number}: {name!r}" for number, name in enumerate(names)]
    yaml = ["path: .", "train: images", "val: images", "names:", *listed]
    return [_write(out / "classes.txt", names), _write(out / "data.yaml", yaml)]


def _corners(cell: CellMask) -> str:
    height, width = cell.shape
    ring = single_ring(rings_of(outline(cell)))
    # Seven digits: off by at most 0.004 px on an image of 65,536 px, so no pixel centre changes sides.
    return " ".join(f"{x / width:.7g} {y / height:.7g}" for x, y in ring)


def _write(path: Path, lines: Sequence[str]) -> Path:
    with whole_file(path) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path
