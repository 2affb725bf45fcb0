import unicodedata

import pytest

from cellular.data.formats.suffixes import field_name, kind_of, suffix_of


@pytest.mark.parametrize(
    ("name", "kind", "field"),
    [
        ("A01.tif", "image", "A01"),
        ("A01.TIF", "image", "A01"),
        ("A01.OME.Tiff", "image", "A01"),
        ("A01.ome.zarr", "image", "A01"),
        ("A01.czi", "image", "A01"),
        ("A01_masks.PNG", "labels", "A01"),
        ("A01_cp_masks.tif", "labels", "A01"),
        ("A01_labels.ome.tif", "labels", "A01"),
        ("A01.ome_masks.tif", "labels", "A01"),
        ("A01_seg.npy", "labels", "A01"),
        ("A01_ignore.png", "ignore", "A01"),
        ("A01_rois.zip", "annotations", "A01"),
        ("A01_RoiSet.zip", "annotations", "A01"),
        ("A01.geojson", "annotations", "A01"),
        ("v1.2_s1.tif", "image", "v1.2_s1"),
        ("masks.tif", "image", "masks"),
        (".partial-A01.tif", None, ".partial-A01"),
        ("notes.odt", None, "notes.odt"),
    ],
)
def test_one_table(name, kind, field):
    assert (kind_of(name), field_name(name)) == (kind, field)


def test_one_comparison_of_letters():
    composed, decomposed = (unicodedata.normalize(form, "Zelle_ü.TIF") for form in ("NFC", "NFD"))
    assert composed != decomposed
    assert field_name(composed) == field_name(decomposed) == "Zelle_ü"
    assert suffix_of(decomposed) == ".tif"
