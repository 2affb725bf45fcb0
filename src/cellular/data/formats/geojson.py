"""GeoJSON as QuPath writes it: polygons in px, the class in ``properties.classification``.

QuPath's objects are cells, detections, annotations, tiles and TMA cores (``properties.objectType``; QuPath 0.2 wrote
the kind as ``id``, and what says nothing is an annotation, as QuPath itself reads it). Annotations are what somebody
drew: cells, or the regions in which cells were looked for. Which of the two is told by what lies inside.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cellular.data.formats.annotation import DEFAULT_CLASS, Annotation, Remarks
from cellular.errors import InputError
from cellular.files import read_json
from cellular.labels.cells import CellMask, crop_mask
from cellular.labels.outlines import fill

_KINDS = {
    **{kind: kind for kind in ("cell", "detection", "tile")},
    **{"PathCellObject": "cell", "PathDetectionObject": "detection", "PathTileObject": "tile"},
    **dict.fromkeys(("tmaCore", "tma_core", "TMACoreObject"), "TMA core"),
    **dict.fromkeys(("root", "PathRootObject"), "root"),
}


@dataclass(frozen=True)
class _Object:
    """A feature with an area. `plane` is (z, t); `class_name` None where it has no class."""

    kind: str
    class_name: str | None
    name: str
    plane: tuple[int, int]
    cell: CellMask
    source: str


def read_geojson(path: Path, shape: tuple[int, int], field: str | None, remarks: Remarks) -> list[Annotation]:
    """Cells of a GeoJSON file (a FeatureCollection, a list of features or one feature); holes are kept.

    Left out, and named: tiles, TMA cores, classes with an asterisk (QuPath's sign for "not to be counted"), regions
    around cells and detections inside cells. Raises InputError where objects lie on several planes of a stack.
    """
    content = read_json(path)
    features = features_of(content)
    if not isinstance(features, list):
        raise InputError(f"{path} is not GeoJSON: it has no list of features")
    objects = []
    for number, feature in enumerate(features):
        with remarks.item(f"{path.name}#{number}", "geojson"):
            objects.append(_object(feature, f"{path.name}#{number}", shape))
    cells, reasons = _sort_out(objects)
    for thing, reason in reasons:
        named = f" '{thing.name}'" if thing.name else ""
        remarks.notices.append(f"{thing.source}{named} is {reason}, not a cell; left out")
    if len(planes := sorted({thing.plane for thing in cells})) > 1:
        raise InputError(f"{path} holds objects of {len(planes)} planes (z, t), {planes[:4]}; export those of one")
    return [
        Annotation(
            thing.class_name or DEFAULT_CLASS,
            thing.cell,
            thing.source,
            label=int(thing.name) if _is_number(thing.name) else None,
        )
        for thing in cells
    ]


def features_of(content: Any) -> Any:
    """The features of parsed GeoJSON: of a collection, a list, one feature, or geometries by themselves."""
    if not isinstance(content, dict):
        return content
    geometries = content.get("geometries") if content.get("type") == "GeometryCollection" else [content]
    if "coordinates" in content or "geometries" in content:
        return [{"type": "Feature", "geometry": geometry, "properties": {}} for geometry in geometries or []]
    return content.get("features", [content])


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit() and int(name) > 0


def _object(feature: dict[str, Any], source: str, shape: tuple[int, int]) -> _Object:
    if not isinstance(feature, dict) or not feature.get("geometry"):
        raise InputError(f"{source} has no geometry")
    geometry, properties = feature["geometry"], feature.get("properties") or {}
    plane = geometry.get("plane") or {}
    said = next((properties[key] for key in ("objectType", "object_type", "type") if key in properties), None)
    kind = _KINDS.get(str(said or feature.get("id")), "annotation")
    at = (int(plane.get("z") or 0), int(plane.get("t") or 0))
    name = str(properties.get("name") or "")
    return _Object(kind, _class_name(properties), name, at, _cell(geometry, source, shape), source)


def _cell(geometry: dict[str, Any], source: str, shape: tuple[int, int]) -> CellMask:
    """The pixels of all parts together; the rings of one part are its outline and its holes."""
    flat = [[np.array([point[:2] for point in ring], float) for ring in part] for part in _parts(geometry, source)]
    parts = [fill(rings, shape) for rings in flat]
    return parts[0] if len(parts) == 1 else crop_mask(np.logical_or.reduce([part.full() for part in parts]))


def _parts(geometry: dict[str, Any], source: str) -> list[Any]:
    """The coordinates of each polygon."""
    kind = geometry.get("type")
    if kind == "GeometryCollection":
        parts = [part for part in geometry["geometries"] if part.get("type") in ("Polygon", "MultiPolygon")]
        return [polygon for part in parts for polygon in _parts(part, source)]
    if kind not in ("Polygon", "MultiPolygon"):
        raise InputError(f"{source} is a {kind}, which has no area; cells are Polygon or MultiPolygon")
    parts = [geometry["coordinates"]] if kind == "Polygon" else geometry["coordinates"]
    if not parts:
        raise InputError(f"{source} is an empty {kind}")
    return parts


def _class_name(properties: dict[str, Any]) -> str | None:
    """A class as QuPath shows it: text, a name, or the names of a derived class, joined as in "fed: positive"."""
    found = properties.get("classification")
    if isinstance(found, dict):
        names = found.get("names") or []
        found = found.get("name") or ": ".join(str(name) for name in names)
    return str(found) if found else None


def _sort_out(objects: list[_Object]) -> tuple[list[_Object], list[tuple[_Object, str]]]:
    """The objects that are cells, and the others with what they are."""
    inside = _inside([thing.cell for thing in objects])
    in_cells = {k for n, thing in enumerate(objects) if thing.kind == "cell" for k in inside[n]}
    detected = {thing.class_name for thing in objects if thing.kind in ("cell", "detection")}
    cells, reasons = [], []
    for number, thing in enumerate(objects):
        held = [objects[k] for k in inside[number] if objects[k].kind in ("cell", "detection", "annotation")]
        reason = None
        if thing.kind in ("tile", "TMA core", "root"):
            reason = f"a {thing.kind}"
        elif (thing.class_name or "").endswith("*"):
            reason = f"of the ignored class {thing.class_name}"
        elif thing.kind == "detection" and number in in_cells:
            reason = "a part of a cell"
        elif thing.cell.area == np.prod(thing.cell.shape):
            reason = "the whole field"
        elif thing.kind == "annotation" and _is_region(thing, held, detected):
            reason = f"a region around {len(held)} objects"
        if reason is None:
            cells.append(thing)
        else:
            reasons.append((thing, reason))
    return cells, reasons


def _is_region(thing: _Object, held: list[_Object], detected: set[str | None]) -> bool:
    """Whether an annotation is a region: beside detected cells, unless it has a cell's class and holds none of them.

    Where all is drawn by hand: one that holds several others, or one without a class around one that has one.
    """
    if detected:
        return bool(held) or thing.class_name is None or thing.class_name not in detected
    return len(held) > 1 or (thing.class_name is None and any(other.class_name for other in held))


def _inside(cells: list[CellMask]) -> list[list[int]]:
    """For each cell the numbers of the smaller ones that lie wholly within it."""
    if not cells:
        return []
    y0, x0, y1, x1 = np.array([cell.box for cell in cells]).T
    areas = np.array([cell.area for cell in cells])
    found = []
    for n, cell in enumerate(cells):
        near = (y0 >= y0[n]) & (x0 >= x0[n]) & (y1 <= y1[n]) & (x1 <= x1[n]) & (areas < areas[n]) & (areas > 0)
        found.append([int(k) for k in np.flatnonzero(near) if _covers(cell, cells[k])])
    return found


def _covers(outer: CellMask, inner: CellMask) -> bool:
    y0, x0, y1, x1 = inner.box
    return bool(outer.pixels[y0 - outer.y : y1 - outer.y, x0 - outer.x : x1 - outer.x][inner.pixels].all())
