"""Label images in other tools' formats: a plain dictionary of name to function."""

from collections.abc import Callable, Sequence
from pathlib import Path

from cellular.data.formats.labelled import LabelledField
from cellular.data.formats.write_cellpose import export_cellpose
from cellular.data.formats.write_coco import export_coco
from cellular.data.formats.write_geojson import export_geojson
from cellular.data.formats.write_hdf5 import export_hdf5
from cellular.data.formats.write_imagej import export_imagej
from cellular.data.formats.write_ome_zarr import export_ome_zarr
from cellular.data.formats.write_yolo import export_yolo

# Each takes the fields and the output folder, and returns the files or folders it wrote.
EXPORTS: dict[str, Callable[[Sequence[LabelledField], Path], list[Path]]] = {
    "cellpose": export_cellpose,
    "coco": export_coco,
    "yolo": export_yolo,
    "geojson": export_geojson,
    "imagej": export_imagej,
    "ome-zarr": export_ome_zarr,
    "hdf5": export_hdf5,
}
