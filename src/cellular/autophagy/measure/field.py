"""All measurements of one field: image and label image in, tables of cells, puncta and the image out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from typing import Any

import numpy as np
import pandas as pd

from cellular.autophagy.measure.columns import in_micrometres
from cellular.autophagy.measure.counts import count_puncta, over_level
from cellular.autophagy.measure.intensity import light_means, measure_colocalisation, measure_intensity, measure_ratio
from cellular.autophagy.measure.markers import coincidence, marker_puncta, markers_of_cells
from cellular.autophagy.measure.mitophagy import KEIMA, mito_qc, mt_keima
from cellular.autophagy.measure.nuclei import Nuclei, match_nuclei, measure_nuclei, nuclei_of_cells, nucleus_distances
from cellular.autophagy.measure.puncta import KINDS, find_puncta
from cellular.autophagy.measure.puncta_settings import PunctaSettings
from cellular.autophagy.measure.shape import measure_shape
from cellular.autophagy.measure.typed import typed
from cellular.autophagy.measure.unmix import REPORTER, Channels, unmix
from cellular.data.image import FieldImage
from cellular.errors import SettingsError
from cellular.labels.checks import as_labels
from cellular.labels.regions import Regions

# What each reporter needs: tandem is mRFP-EGFP on LC3 or Atg8 (Kimura et al., Autophagy 3, 452, 2007), mito-QC the same
# two colours on mitochondria. "auto" takes the tandem where both are there; "none" tells nothing by a ratio.
REPORTERS = {"auto": (), "tandem": REPORTER, "mito-qc": REPORTER, "mt-keima": KEIMA, "none": ()}


@dataclass(frozen=True)
class MeasureSettings:
    """What to measure.

    Attributes
    ----------
    pixel_size_um : size of a pixel in um; None where it is not known (all lengths are in px either way).
    puncta : how puncta are found.
    reporter : one of :data:`REPORTERS`.
    keima_ratio : mt-Keima: acid over neutral from which mitochondria count as acid; it goes with the lasers, so it is
        needed.
    many_puncta : puncta from which a cell counts as one with many, for their share; None tells no share.
    """

    pixel_size_um: float | None = None
    puncta: PunctaSettings = dataclass_field(default_factory=PunctaSettings)
    reporter: str = "auto"
    keima_ratio: float | None = None
    many_puncta: int | None = None

    def __post_init__(self) -> None:
        if self.pixel_size_um is not None and not self.pixel_size_um > 0:
            raise SettingsError(f"pixel_size_um is {self.pixel_size_um}; it must be above 0")
        if self.reporter not in REPORTERS:
            raise SettingsError(f"reporter is '{self.reporter}'; choose one of {', '.join(REPORTERS)}")
        if (self.reporter == "mt-keima") != (self.keima_ratio is not None):
            raise SettingsError(
                "mt-keima needs --keima_ratio and nothing else takes it: the ratio, acid over neutral, from which "
                "mitochondria are acid. It goes with the lasers' power: set it on a control of the same day"
            )
        if self.keima_ratio is not None and not self.keima_ratio > 0:
            raise SettingsError(f"keima_ratio is {self.keima_ratio}; it must be above 0")
        if self.many_puncta is not None and self.many_puncta < 1:
            raise SettingsError(f"many_puncta is {self.many_puncta}; it must be 1 or more")

    @property
    def needs(self) -> tuple[str, ...]:
        """Roles that an image must have."""
        return REPORTERS[self.reporter]

    def for_field(self, pixel_size_um: float | None) -> "MeasureSettings":
        """The settings for a field whose file gives `pixel_size_um`, um: a size that was given overrules it."""
        known = self.pixel_size_um or pixel_size_um
        puncta = self.puncta.resolved(known)
        puncta.sigmas(known)
        return replace(self, pixel_size_um=known, puncta=puncta)


@dataclass(frozen=True)
class Material:
    """What every measurement may draw on.

    Attributes
    ----------
    labels : (Y, X). regions : their pixels by cell. channels : the field's light. settings : resolved for the field.
    means : each channel's light of every cell, as :func:`light_means` gives it.
    puncta : the reporter's; None where there is none, or puncta say nothing of it.
    nuclei : None where they are not known.
    markers : puncta of the markers; None without markers.
    """

    labels: np.ndarray
    regions: Regions
    channels: Channels
    settings: MeasureSettings
    means: Mapping[str, np.ndarray]
    puncta: pd.DataFrame | None
    nuclei: Nuclei | None = None
    markers: pd.DataFrame | None = None

    @property
    def both(self) -> bool:
        """Whether mRFP and EGFP are there."""
        return self.channels.reporter == REPORTER


# Name -> function from the material to columns (N,), one value per cell in ascending order of label; none where the
# material has not what it takes.
MEASUREMENTS: dict[str, Callable[[Material], dict[str, np.ndarray]]] = {
    "shape": lambda m: measure_shape(m.labels, m.regions),
    "intensity": lambda m: measure_intensity(m.channels, m.regions),
    "ratio": lambda m: measure_ratio(m.channels, m.means) if m.both and m.settings.reporter != "none" else {},
    "colocalisation": lambda m: measure_colocalisation(m.channels, m.regions) if m.both else {},
    "puncta": lambda m: {} if m.puncta is None else _counts(m),
    "nuclei": lambda m: {} if m.nuclei is None else _nuclei(m, m.nuclei),
    "markers": lambda m: {} if m.markers is None else markers_of_cells(m.puncta, m.markers, m.channels, m.regions),
    "mitophagy": lambda m: _mitophagy(m),
}


def measure_field(
    image: FieldImage,
    labels: np.ndarray,
    field: str,
    settings: MeasureSettings | None = None,
    about: Mapping[str, Any] | None = None,
    nuclei: np.ndarray | None = None,
    others: np.ndarray | None = None,
) -> dict[str, pd.DataFrame]:
    """Measure every cell of one field.

    Parameters
    ----------
    image : with the channels that the reporter needs, or at least one whose role is known; see :func:`unmix`.
    labels : (Y, X) label image, 0 = background.
    field : its name.
    about : where it is on the plate (``date, plate, well, site, timepoint``) and what its well was given, for the table
        of images: a row of :meth:`cellular.data.plate.Plate.table`.
    nuclei : (Y, X) label image of nuclei, in any numbers; None where they are not known.
    others : (Y, X) bool, pixels of cells that are not measured and no background; None where none are known.

    Returns
    -------
    Tables "cells" (one row per cell), "images" (one row), "puncta" (one per punctum, with a reporter), "nuclei" (where
    given) and "marker_puncta" (with markers); columns as in :mod:`cellular.autophagy.measure.columns`.

    Raises InputError where image and labels do not fit together, or a channel is missing.
    """
    settings = (settings or MeasureSettings()).for_field(image.pixel_size_um)
    material = _material(image, labels, settings, nuclei, others)
    n, size = material.regions.labels.size, settings.pixel_size_um
    cells = {"field": np.full(n, field, object), "label": material.regions.labels}
    for measure in MEASUREMENTS.values():
        cells |= measure(material)
    tables: dict[str, Mapping[str, Any]] = {"cells": cells}
    for name, spots in (("puncta", material.puncta), ("marker_puncta", material.markers)):
        if spots is not None:
            tables[name] = {"field": np.full(len(spots), field, object), **{c: spots[c].to_numpy() for c in spots}}
    if material.nuclei is not None:
        tables["nuclei"] = measure_nuclei(material.nuclei, material.channels, field)
    found = {name: typed(name, {**table, **in_micrometres(name, table, size)}) for name, table in tables.items()}
    return found | {"images": typed("images", _image_row(field, material, found, about or {}))}


def _material(
    image: FieldImage,
    labels: np.ndarray,
    settings: MeasureSettings,
    nuclei: np.ndarray | None,
    others: np.ndarray | None,
) -> Material:
    """Channels, puncta and nuclei of a field."""
    labels = as_labels(labels)
    channels, regions = unmix(image, labels, settings.needs, others), Regions.of(labels)
    size = settings.pixel_size_um
    largest = settings.puncta.sigmas(size)[-1]
    matched = None if nuclei is None else match_nuclei(as_labels(nuclei), labels)
    puncta = _reporter_puncta(channels, labels, settings)
    markers = None
    if channels.markers and settings.reporter != "mt-keima":
        markers = marker_puncta(channels, labels, settings.puncta, size)
    if puncta is not None and markers is not None:
        puncta = puncta.assign(**coincidence(puncta, markers, labels, channels.markers, largest))
    if puncta is not None and matched is not None:
        puncta = puncta.assign(nucleus_distance=nucleus_distances(puncta, matched))
    return Material(labels, regions, channels, settings, light_means(channels, regions), puncta, matched, markers)


def _reporter_puncta(channels: Channels, labels: np.ndarray, settings: MeasureSettings) -> pd.DataFrame | None:
    """Puncta of mRFP and EGFP: together, with kinds, or each channel's own; None where neither is there.

    None with mitochondria too: they are a network, not puncta.
    """
    if settings.reporter in ("mito-qc", "mt-keima") or not channels.reporter:
        return None
    sets = [REPORTER] if _paired(channels, settings) else [(name,) for name in channels.reporter]
    found = [find_puncta(channels, labels, settings.puncta, settings.pixel_size_um, names) for names in sets]
    return pd.concat(found, ignore_index=True).sort_values(["label", "y", "x"], ignore_index=True)


def _paired(channels: Channels, settings: MeasureSettings) -> bool:
    """Whether mRFP and EGFP are one reporter, whose puncta have kinds."""
    return channels.reporter == REPORTER and settings.reporter in ("auto", "tandem")


def _counts(material: Material) -> dict[str, np.ndarray]:
    """Puncta per cell, over its light, and whether there are many."""
    channels, regions, puncta = material.channels, material.regions, material.puncta
    kinds = KINDS if _paired(channels, material.settings) else channels.reporter
    columns = count_puncta(puncta, regions, kinds, channels.reporter)
    level = channels.reporter[0]
    columns["puncta_per_level"] = over_level(columns["puncta_total"], material.means[level], channels.off(level)[1])
    if material.settings.many_puncta is not None:
        columns["puncta_many"] = (columns["puncta_total"] >= material.settings.many_puncta).astype(np.int64)
    return columns


def _nuclei(material: Material, nuclei: Nuclei) -> dict[str, np.ndarray]:
    """Nuclei per cell, and how far its puncta are from them."""
    columns = nuclei_of_cells(nuclei, material.regions, material.channels)
    if material.puncta is not None:
        mean = material.puncta.groupby("label")["nucleus_distance"].mean()
        columns["puncta_nucleus_distance"] = mean.reindex(material.regions.labels).to_numpy(float)
    return columns


def _mitophagy(material: Material) -> dict[str, np.ndarray]:
    """By the rule of the reporter that was named."""
    settings = material.settings
    if settings.reporter == "mito-qc":
        return mito_qc(material.channels, material.regions)
    if settings.reporter == "mt-keima" and settings.keima_ratio is not None:
        return mt_keima(material.channels, material.regions, settings.keima_ratio)
    return {}


def _image_row(
    field: str, material: Material, tables: Mapping[str, pd.DataFrame], about: Mapping[str, Any]
) -> dict[str, list]:
    """The one row of the table of images; what the plate map says comes last, as text."""
    size, channels, cells = material.settings.pixel_size_um, material.channels, tables["cells"]
    row = {
        "field": field,
        **{name: about.get(name) for name in ("date", "plate", "well", "site", "timepoint", "treatment")},
        "height": material.labels.shape[0],
        "width": material.labels.shape[1],
        "pixel_size_um": size if size else np.nan,
        "source": channels.source,
        "cells": len(cells),
    }
    row |= {name: len(tables[name]) for name in ("puncta", "marker_puncta") if name in tables}
    if material.nuclei is not None:
        row["nuclei_found"] = len(tables["nuclei"])
        row["nuclei_without_cell"] = int((material.nuclei.cells == 0).sum())
        row["cells_without_nucleus"] = int((cells["nuclei"] == 0).sum())
        row["cells_with_more_nuclei"] = int((cells["nuclei"] > 1).sum())
    if "puncta_many" in cells:
        row["puncta_many_share"] = float(cells["puncta_many"].mean()) if len(cells) else np.nan
    for index, name in enumerate(channels.names):
        row[f"background__{name}"] = channels.background[index]
        row[f"noise__{name}"] = channels.noise[index]
        row[f"transmitted_share__{name}"] = channels.transmitted_share[index]
    row |= {name: value for name, value in about.items() if name not in row}
    return {name: [value] for name, value in row.items()}
