"""GeoJSON for QuPath: ``<field>.geojson``, each cell a polygon along pixel edges. Exact, holes included."""

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cellular.data.formats.export import Written
from cellular.data.formats.labelled import LabelledField
from cellular.errors import import_extra
from cellular.files import write_json
from cellular.labels.cells import CellMask, cells_of
from cellular.labels.outlines import outline


def export_geojson(item: LabelledField, out: Path, names: Sequence[str]) -> Written:
    """Write a field's file; coordinates are px, x before y. QuPath shows what was measured as measurements."""
    features = [_feature(item, label, cell) for label, cell in cells_of(item.labels())]
    path = out / f"{item.name}.geojson"
    write_json(path, {"type": "FeatureCollection", "features": features})
    return Written([path])


def _feature(item: LabelledField, label: int, cell: CellMask) -> dict[str, Any]:
    shapely = import_extra("shapely", "export")
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{item.name}#{label}")),
        "geometry": shapely.geometry.mapping(outline(cell)),
        "properties": {
            "objectType": "annotation",
            "name": str(label),
            "classification": {"name": item.class_of(label)},
            "measurements": {"area_px": cell.area, **item.measurements.get(label, {})},
        },
    }
