"""GeoJSON as QuPath writes it: polygons in px, the class in ``properties.classification.name``."""

from pathlib import Path
from typing import Any

from cellular.data.formats.annotation import DEFAULT_CLASS, Annotation
from cellular.errors import InputError
from cellular.files import read_json
from cellular.labels.outlines import fill


def read_geojson(path: Path, shape: tuple[int, int], field: str | None = None) -> list[Annotation]:
    """Cells of a GeoJSON file (a FeatureCollection, a list of features or one feature); holes are kept.

    Raises InputError for a geometry that is neither Polygon nor MultiPolygon.
    """
    content = read_json(path)
    features = content.get("features", [content]) if isinstance(content, dict) else content
    return [_annotation(feature, f"{path.name}#{n}", shape) for n, feature in enumerate(features)]


def _annotation(feature: dict[str, Any], source: str, shape: tuple[int, int]) -> Annotation:
    geometry = feature["geometry"]
    kind, coordinates = geometry["type"], geometry["coordinates"]
    if kind not in ("Polygon", "MultiPolygon"):
        raise InputError(f"{source} is a {kind}; cells are Polygon or MultiPolygon")
    parts = [coordinates] if kind == "Polygon" else coordinates
    rings = [[point[:2] for point in ring] for part in parts for ring in part]
    classification = (feature.get("properties") or {}).get("classification") or {}
    return Annotation(str(classification.get("name") or DEFAULT_CLASS), fill(rings, shape), source)
