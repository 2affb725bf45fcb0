"""Nuclei for the jobs that measure: found on the DNA channel, or read from a folder of label images."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cellular.autophagy.measure.nuclei import match_nuclei
from cellular.autophagy.measure.unmix import DNA
from cellular.data.formats.images import write_labels
from cellular.data.formats.suffixes import NUCLEI_SUFFIX
from cellular.data.image import FieldImage, read_cells
from cellular.data.label_files import match_labels, match_nuclei_files
from cellular.data.plate import FieldFiles, Plate
from cellular.errors import InputError

# torch is imported where a network is needed: a plate without DNA is measured without waiting for it
if TYPE_CHECKING:
    from cellular.segment.segmenter import Segmenter
    from cellular.segment.settings import Precision, SegmentSettings

logger = logging.getLogger(__name__)

AUTO, OFF = "auto", "off"
MODEL = "nuclei"


@dataclass(frozen=True)
class NucleiSource:
    """Where the nuclei of a plate come from: a network, at one diameter for the plate, or label images.

    Attributes
    ----------
    segmenter, how : the network, and how it is used, diameter included; None where label images are given.
    files : label image by name of field.
    """

    segmenter: Segmenter | None = None
    how: SegmentSettings | None = None
    files: Mapping[str, Path] = field(default_factory=dict)

    def has(self, item: FieldFiles) -> bool:
        """Whether the field has nuclei to find or to read."""
        return item.has(DNA) if self.segmenter else item.name in self.files

    def inputs(self, item: FieldFiles) -> tuple[Path, ...]:
        """Files besides the field's own that they are read from."""
        return (self.files[item.name],) if item.name in self.files else ()

    def outputs(self, item: FieldFiles, folder: Path) -> list[Path]:
        """What :meth:`write` writes."""
        return [nuclei_path(folder, item.name)] if self.has(item) else []

    def write(
        self, item: FieldFiles, image: FieldImage, cells: np.ndarray, folder: Path, found: np.ndarray | None = None
    ) -> np.ndarray | None:
        """The field's nuclei (Y, X), numbered with its cells, written to `folder`; None for a field without any.

        `found` are its nuclei where :meth:`read` has been asked for them already.
        """
        if not self.has(item):
            return None
        numbered = match_nuclei(self.read(item, image) if found is None else found, cells).labels
        write_labels(nuclei_path(folder, item.name), numbered, image.pixel_size_um)
        return numbered

    def read(self, item: FieldFiles, image: FieldImage) -> np.ndarray:
        """The nuclei (Y, X) of a field that has some, as they are found or given; see :meth:`has`."""
        if self.segmenter and self.how:
            from cellular.jobs.segment import segment_image

            return segment_image(dna_of(image), self.segmenter, self.how).labels
        return read_cells(self.files[item.name], image.shape, item.name)

    def record(self) -> dict[str, Any]:
        """For the record of the job's settings."""
        if not (self.segmenter and self.how):
            return {"files": True}
        from cellular.jobs.segment import model_record

        return {**model_record(self.segmenter), "diameter": self.how.diameter, "precision": self.how.precision}


def nuclei_source(
    plate: Plate, choice: str, labels: str | Path | None, device: str = "auto", precision: Precision = "auto"
) -> NucleiSource | None:
    """Where the nuclei of `plate` come from; where the model finds them, in `precision`.

    Parameters
    ----------
    choice : "off"; a folder of label images; or "auto": where the plate has a DNA channel, what lies as
        ``<field>_nuclei.tif`` beside the label images of its cells in folder `labels`, if each field has it, else what
        the model finds.

    Raises
    ------
    InputError, MissingInputError : a folder that is not there, or fits none of the fields.
    """
    if choice == OFF:
        return None
    if choice != AUTO:
        files = match_nuclei_files(plate.fields, choice) or match_labels(plate.fields, choice)
        if not files:
            first = plate.fields[0].name
            raise InputError(
                f"{choice} holds no label image of nuclei of any field, such as {first}{NUCLEI_SUFFIX}.tif"
            )
        return NucleiSource(files=files)
    stained = tuple(item for item in plate.fields if item.has(DNA))
    if not stained:
        return None
    files = match_nuclei_files(stained, labels) if labels is not None else {}
    if len(files) == len(stained):
        return NucleiSource(files=files)
    from cellular.jobs.segment import plate_diameter
    from cellular.segment.segmenter import Segmenter
    from cellular.segment.settings import SegmentSettings

    segmenter = Segmenter.from_pretrained(MODEL, device)
    how = SegmentSettings(precision=precision).settled(segmenter)
    diameter = plate_diameter(replace(plate, fields=tuple(map(_dna_alone, stained))), segmenter, how)
    logger.info("nuclei are found on DNA by the model %s, at a diameter of %.0f px", segmenter.model.name, diameter)
    return NucleiSource(segmenter, replace(how, diameter=diameter))


def require_seeds(plate: Plate, choice: str, labels: str | Path | None) -> None:
    """Raise InputError where nuclei cannot be the seeds of cells: none are looked for, or no cells are."""
    if labels is not None:
        raise InputError("--seeds nuclei parts cells that the network finds, and --labels gives them: leave one out")
    if choice == OFF:
        raise InputError("--seeds nuclei needs nuclei, and --nuclei off finds none: leave one out")
    if choice == AUTO:
        plate.require(DNA, what="--seeds nuclei")


def dna_of(image: FieldImage) -> FieldImage:
    """The image with its DNA channel alone."""
    index = image.roles.index(DNA)
    return replace(image, pixels=image.pixels[:, :, [index]], roles=(DNA,), names=image.names[index : index + 1])


def _dna_alone(item: FieldFiles) -> FieldFiles:
    return replace(item, sources=tuple(source for source in item.sources if source.role == DNA))


def nuclei_path(folder: Path, name: str) -> Path:
    """Where the label image of a field's nuclei goes."""
    return folder / f"{name}{NUCLEI_SUFFIX}.tif"
