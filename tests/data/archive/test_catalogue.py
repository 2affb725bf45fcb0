import dataclasses
import re

import pytest

from cellular.data.archive.catalogue import ARCHIVES, WEIGHTS, address, find_archive, weights_record
from cellular.errors import InputError, WeightsError


def test_the_masks_are_pinned_to_the_published_hash():
    record = find_archive("masks")
    assert record.sha256 == "8e640ba69e627e223a3703a883b5dda426bbbd069dddd61a5122f447bf880987"
    assert record.url == "https://zenodo.org/records/8315423/files/masks.zip"
    assert "CC BY 4.0" in record.terms
    assert "written permission" in record.terms


@pytest.mark.parametrize("record", [*ARCHIVES.values(), *WEIGHTS.values()], ids=lambda record: record.name)
def test_records_are_complete_and_frozen(record):
    assert record.url.startswith("https://")
    assert record.licence
    assert re.search(r"https://doi.org/10\.\d+/", record.citation)
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.url = "http://elsewhere"


def test_stock_weights_have_a_size_model_and_fine_tuned_ones_have_none():
    assert WEIGHTS["cyto"].url == "https://www.cellpose.org/models/cytotorch_0"
    assert WEIGHTS["cyto3"].size_url == "https://www.cellpose.org/models/size_cyto3.npy"
    assert WEIGHTS["fine-tuned-cyto2"].size_url is None
    assert WEIGHTS["fine-tuned-cyto2"].url.endswith("/cellular-experiments-models/Fine-Tuned-Cyto2")


def test_unknown_names_list_the_known_ones():
    with pytest.raises(WeightsError, match="nuclei.*known: cyto, cyto2"):
        weights_record("nuclei")
    with pytest.raises(InputError, match="known: masks, images, experiments"):
        find_archive("all")


def test_a_mirror_keeps_the_path(monkeypatch):
    monkeypatch.setenv("CELLULAR_MIRROR", "http://lab.example:8000/")
    assert address("https://zenodo.org/records/1/files/a.zip") == "http://lab.example:8000/records/1/files/a.zip"
    monkeypatch.delenv("CELLULAR_MIRROR")
    assert address("https://zenodo.org/a.zip") == "https://zenodo.org/a.zip"
