"""What can be downloaded, from where and on whose terms: plain records, no code that fetches."""

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from cellular.errors import InputError, WeightsError

DATASET_CITATION = (
    "Al Outa A. et al. CELLULAR: cell autophagy imaging dataset. Scientific Data 10, 806 (2023). "
    "https://doi.org/10.1038/s41597-023-02687-x"
)
DATASET_TERMS = (
    "Licence: CC BY 4.0. The authors also ask for written permission before any commercial use and before the data "
    "are used in a competition."
)
_CELLPOSE_LICENCE = "BSD-3-Clause (Cellpose); its training images are CC BY-NC, so commercial use is for you to judge"
_CELLPOSE_1 = (
    "Stringer C. et al. Cellpose. Nature Methods 18, 100-106 (2021). https://doi.org/10.1038/s41592-020-01018-x"
)
_CELLPOSE_2 = "Pachitariu M., Stringer C. Cellpose 2.0. Nature Methods 19, 1634-1641 (2022). https://doi.org/10.1038/s41592-022-01663-4"
_CELLPOSE_3 = "Stringer C., Pachitariu M. Cellpose3. Nature Methods 22, 592-599 (2025). https://doi.org/10.1038/s41592-025-02595-5"


@dataclass(frozen=True)
class Archive:
    """One archive of the dataset.

    Attributes
    ----------
    name : what the user calls it; also the folder it is unpacked into.
    url : where it lives.
    sha256 : of the whole file, where its publishers or we know it; None means it is recorded, not checked.
    size : bytes of the download, where known exactly.
    about : one line for people, with the approximate size.
    licence, citation, terms : printed before the download starts.
    """

    name: str
    url: str
    sha256: str | None
    size: int | None
    about: str
    licence: str = "CC BY 4.0"
    citation: str = DATASET_CITATION
    terms: str = DATASET_TERMS


@dataclass(frozen=True)
class WeightsRecord:
    """One set of model weights.

    Attributes
    ----------
    name : what the user calls it.
    url : where it lives.
    file_name : its name in the cache and in Cellpose's own model folder.
    diameter : cell diameter (px) that the network works at.
    channels : input channels.
    size_url : Cellpose's size model, a small regression from the network's style to a diameter; None where none exists.
    sha256 : where known; None means that it is recorded at first use and checked from then on.
    """

    name: str
    url: str
    file_name: str
    licence: str
    citation: str
    diameter: float = 30.0
    channels: int = 2
    size_url: str | None = None
    sha256: str | None = None


_ZENODO = "https://zenodo.org/records/8315423/files"
_SIMULA = "https://datasets.simula.no/downloads"
_CELLPOSE = "https://www.cellpose.org/models"

ARCHIVES: dict[str, Archive] = {
    "masks": Archive(
        "masks",
        f"{_ZENODO}/masks.zip",
        "8e640ba69e627e223a3703a883b5dda426bbbd069dddd61a5122f447bf880987",
        None,
        "14,005 cells outlined by experts in 53 fields, one PNG per cell",
    ),
    "images": Archive(
        "images", f"{_ZENODO}/images.zip", None, None, "6,240 fields of three 2048 x 2048 16-bit channels (105 GB)"
    ),
    "experiments": Archive(
        "experiments", f"{_SIMULA}/cellular-experiments.zip", None, None, "the published experiments' files"
    ),
}


def _cellpose(name: str, file_name: str, size_name: str, citation: str) -> WeightsRecord:
    return WeightsRecord(
        name, f"{_CELLPOSE}/{file_name}", file_name, _CELLPOSE_LICENCE, citation, size_url=f"{_CELLPOSE}/{size_name}"
    )


def _fine_tuned(name: str, file_name: str) -> WeightsRecord:
    licence = "CC BY 4.0 (CELLULAR dataset); fine-tuned from Cellpose weights, whose terms apply too"
    return WeightsRecord(
        name, f"{_SIMULA}/cellular-experiments-models/{file_name}", file_name, licence, DATASET_CITATION
    )


WEIGHTS: dict[str, WeightsRecord] = {
    record.name: record
    for record in (
        _cellpose("cyto", "cytotorch_0", "size_cytotorch_0.npy", _CELLPOSE_1),
        _cellpose("cyto2", "cyto2torch_0", "size_cyto2torch_0.npy", _CELLPOSE_2),
        _cellpose("cyto3", "cyto3", "size_cyto3.npy", _CELLPOSE_3),
        _fine_tuned("fine-tuned-cyto", "Fine-Tuned-Cyto"),
        _fine_tuned("fine-tuned-cyto2", "Fine-Tuned-Cyto2"),
    )
}


def find_archive(name: str) -> Archive:
    """Archive called `name`; InputError lists the known ones."""
    if name not in ARCHIVES:
        raise InputError(f"Unknown archive '{name}'; known: {', '.join(ARCHIVES)}")
    return ARCHIVES[name]


def weights_record(name: str) -> WeightsRecord:
    """Weights called `name`; WeightsError lists the known ones."""
    if name not in WEIGHTS:
        raise WeightsError(f"Unknown weights '{name}'; known: {', '.join(WEIGHTS)}")
    return WEIGHTS[name]


def address(url: str) -> str:
    """`url`, or the same path on the server that the environment variable CELLULAR_MIRROR names.

    A lab with its own copy of the archives (or a test with a local server) sets it to ``http://host:port``.
    """
    mirror = os.environ.get("CELLULAR_MIRROR")
    return f"{mirror.rstrip('/')}{urlsplit(url).path}" if mirror else url
