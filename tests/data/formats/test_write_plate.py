"""Plates and images as OME-Zarr, opened by ngio, ome-zarr-models and napari-ome-zarr."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cellular.data.find import find_plate
from cellular.data.formats.image_file import describe_image, ome_zarr_plate, read_pixels
from cellular.data.formats.images import read_labels
from cellular.data.formats.write_plate import PlateField, write_plate
from cellular.errors import InputError, OutputExistsError

pytest.importorskip("zarr", minversion="3", reason="needs cellular[zarr]")
pytest.importorskip("anndata", reason="needs cellular[anndata]")

RNG = np.random.default_rng(0)
LABELS = np.zeros((130, 140), np.uint16)
LABELS[5:20, 5:20], LABELS[40:60, 70:90] = 1, 7
TABLE = pd.DataFrame({"label": [1, 7], "area_px": [225, 400], "class": ["fed", "unfed"], "red": [1.5, np.nan]})


IMAGES = {
    place: RNG.integers(0, 4000, (2, 130, 140), dtype=np.uint16) for place in (("B03", 2), ("A11", 1), ("B03", 1))
}


def fields():
    for (well, site), image in IMAGES.items():
        yield PlateField(
            well,
            site,
            image,
            ("DNA", "marker:LAMP1"),
            {"marker:LAMP1": "FF00FF"},
            {"cells": LABELS},
            {"cells": TABLE},
            0.5,
        )


@pytest.fixture(params=["0.4", "0.5"])
def plate(tmp_path, request):
    return write_plate(tmp_path / "p.ome.zarr", fields(), version=request.param), request.param


def test_our_own_reader(plate):
    path, _ = plate
    found = ome_zarr_plate(path)
    assert [(well, site) for well, site, _ in found] == [("A11", 1), ("B03", 1), ("B03", 2)]
    (info,) = describe_image(found[2][2])
    assert info.channels == ("DNA", "marker:LAMP1")
    assert info.pixel_size_um == 0.5
    np.testing.assert_array_equal(read_pixels(found[2][2]), np.moveaxis(IMAGES["B03", 2], 0, -1))
    np.testing.assert_array_equal(read_labels(found[0][2] / "labels" / "cells"), LABELS)
    with pytest.raises(InputError, match="is a plate of many images"):
        describe_image(path)


def test_ngio(plate):
    ngio = pytest.importorskip("ngio", reason="needs ngio")
    path, _ = plate
    opened = ngio.open_ome_zarr_plate(path, mode="r")
    assert sorted(opened.get_images()) == ["A/11/1", "B/03/1", "B/03/2"]
    image = opened.get_image("B", "03", "1")
    assert image.channel_labels == ["DNA", "marker:LAMP1"]
    assert image.list_labels() == ["cells"]
    np.testing.assert_array_equal(np.squeeze(image.get_label("cells").get_as_numpy()), LABELS)
    assert image.get_image().pixel_size.x == 0.5
    table = image.get_feature_table("cells")
    assert table.reference_label == "cells"
    frame = table.dataframe
    assert frame.index.tolist() == [1, 7]
    assert frame["area_px"].tolist() == [225, 400]
    assert frame["class"].tolist() == ["fed", "unfed"]
    assert np.isnan(frame["red"].iloc[1])


def test_a_missing_word_is_no_word(tmp_path):
    table = TABLE.assign(**{"class": ["fed", None]})
    item = PlateField("A01", 1, IMAGES["B03", 1], ("DNA", "marker:LAMP1"), {}, {"cells": LABELS}, {"cells": table}, 0.5)
    path = write_plate(tmp_path / "p.ome.zarr", [item])
    anndata = pytest.importorskip("anndata")
    obs = anndata.read_zarr(path / "A" / "01" / "1" / "tables" / "cells").obs
    assert obs["class"].tolist() == ["fed", ""]


def test_ome_zarr_models(plate):
    pytest.importorskip("ome_zarr_models", reason="needs ome-zarr-models")
    import ome_zarr_models.v04 as v04
    import ome_zarr_models.v05 as v05
    import zarr

    path, version = plate
    models = v04 if version == "0.4" else v05
    group = zarr.open_group(path, mode="r")
    opened = models.HCS.from_zarr(group)
    plate_attributes = opened.attributes if version == "0.4" else opened.attributes.ome
    assert [well.path for well in plate_attributes.plate.wells] == ["A/11", "B/03"]
    image = models.Image.from_zarr(group["B/03/1"])
    assert image.labels is not None
    models.ImageLabel.from_zarr(group["B/03/1/labels/cells"])


def test_napari_ome_zarr(plate):
    reader = pytest.importorskip("napari_ome_zarr", reason="needs napari-ome-zarr")
    path, _ = plate
    layers = reader.napari_get_reader(str(path / "B" / "03" / "1"))(str(path / "B" / "03" / "1"))
    kinds = [layer[2] if len(layer) > 2 else "image" for layer in layers]
    # the channels of an image are one layer before napari-ome-zarr 0.11, and one each since
    names = np.concatenate([np.atleast_1d(layer[1]["name"]) for layer, kind in zip(layers, kinds) if kind == "image"])
    assert [name.split(": ")[-1] for name in names] == ["DNA", "marker:LAMP1"]
    assert kinds[-1] == "labels"
    assert kinds.count("labels") == 1
    whole = reader.napari_get_reader(str(path))(str(path))
    assert whole[0][0][0].shape[-2:] == (260, 280)


def test_what_does_not_fit_is_refused_and_nothing_is_left(tmp_path):
    one = next(fields())
    for bad, message in (
        ([], "no fields"),
        ([one, one], "two fields of well B03, site 2"),
        ([PlateField("3B", 1, one.image, one.channels)], "'3B' is no well"),
        ([PlateField("A01", 1, one.image, ("EGFP",))], "channel names"),
        ([PlateField("A01", 1, one.image, one.channels, labels={"c": LABELS[1:]})], "labels 'c' of"),
        ([PlateField("A01", 1, one.image, one.channels, labels={"c": LABELS}, tables={"c": TABLE[["red"]]})], "label"),
    ):
        with pytest.raises(InputError, match=message):
            write_plate(tmp_path / "p.ome.zarr", bad)
        assert not list(tmp_path.iterdir())
    write_plate(tmp_path / "p.ome.zarr", [one])
    write_plate(tmp_path / "p.ome.zarr", [one])  # alike to the byte: nothing to lose
    other = PlateField("A01", 1, one.image + 1, one.channels)
    with pytest.raises(OutputExistsError):
        write_plate(tmp_path / "p.ome.zarr", [other])


def test_several_acquisitions_are_said(tmp_path):
    for runs in (1, 2):
        path = tmp_path / f"p{runs}.ome.zarr"
        write_plate(path, [replace(item, acquisition=n % runs) for n, item in enumerate(fields())])
        assert ["2 acquisitions" in note for note in find_plate(path).notes] == [True] * (runs - 1)
