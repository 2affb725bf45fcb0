"""Label images of nuclei are not taken for cells, nor for images; an image of DNA so named is."""

import numpy as np
import pytest
import tifffile

from cellular.data.find import find_label_fields, find_plate
from cellular.data.label_files import find_labels, match_nuclei_files
from cellular.errors import InputError, MissingInputError


def write(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        tifffile.imwrite(folder / name, np.ones((8, 8), np.uint16))


def test_nuclei_beside_marked_labels(tmp_path):
    write(tmp_path / "images", "A01.tif", "A02.tif")
    write(tmp_path / "labels", "A01_masks.tif", "A01_nuclei.tif", "A02_masks.tif")
    plate = find_plate(tmp_path / "images", labels=tmp_path / "labels")
    assert [item.labels.name for item in plate.fields] == ["A01_masks.tif", "A02_masks.tif"]
    found = match_nuclei_files(plate.fields, tmp_path / "labels")
    assert {name: path.name for name, path in found.items()} == {"A01": "A01_nuclei.tif"}
    assert match_nuclei_files(plate.fields, tmp_path) == found
    assert match_nuclei_files(plate.fields, tmp_path / "images") == {}
    with pytest.raises(MissingInputError, match="nuclei"):
        match_nuclei_files(plate.fields, tmp_path / "none")


def test_nuclei_beside_labels_under_their_own_names(tmp_path):
    write(tmp_path, "A01.tif", "A01_nuclei.tif")
    assert list(find_labels(tmp_path)) == ["A01"]
    assert [item.name for item in find_label_fields(tmp_path).fields] == ["A01"]


def test_an_image_of_dna_may_be_called_so(tmp_path):
    write(tmp_path, "A01_EGFP.tif", "A01_nuclei.tif", "A01_masks.tif")
    (plate,) = find_plate(tmp_path).fields
    assert set(plate.roles) == {"DNA", "EGFP"}


def test_a_folder_of_labels_alone_is_no_plate(tmp_path):
    write(tmp_path, "A01_masks.tif", "A01_nuclei.tif")
    with pytest.raises(InputError, match="only label images"):
        find_plate(tmp_path)
