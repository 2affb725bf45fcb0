"""Label images in other tools' formats: a plain dictionary of name to function."""

from cellular.data.formats.export import Export
from cellular.data.formats.write_cellpose import export_cellpose
from cellular.data.formats.write_coco import annotations_file, export_coco
from cellular.data.formats.write_geojson import export_geojson
from cellular.data.formats.write_hdf5 import export_hdf5
from cellular.data.formats.write_imagej import export_imagej
from cellular.data.formats.write_ome_zarr import export_ome_zarr
from cellular.data.formats.write_yolo import class_lists, export_yolo

EXPORTS = {
    "cellpose": Export(export_cellpose),
    "coco": Export(export_coco, annotations_file, classes=True),
    "yolo": Export(export_yolo, class_lists, classes=True),
    "geojson": Export(export_geojson),
    "imagej": Export(export_imagej, classes=True),
    "ome-zarr": Export(export_ome_zarr),
    "hdf5": Export(export_hdf5, classes=True),
}
