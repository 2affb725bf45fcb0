"""What `stats` adds where the map says more than a treatment: flux, doses, a second factor, the plate."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from cellular.autophagy.compare.design import StatsSettings, well_word
from cellular.autophagy.compare.doses import compare_doses
from cellular.autophagy.compare.effects import Comparison, choose_features
from cellular.autophagy.compare.factorial import compare_factor
from cellular.autophagy.compare.flux import YELLOW, Flux, compare_flux
from cellular.autophagy.compare.plate_effects import (
    assay_quality,
    control_kinds,
    normalised,
    place_effects,
    well_means,
    wells_of_several,
    with_b_scores,
)
from cellular.autophagy.measure.documentation import axis_label
from cellular.data.platemap import SAMPLE
from cellular.files import number_order, plain_names, write_csv
from cellular.report.assay import Assay, course_figure, dose_figure, flux_figure
from cellular.report.plate import heatmap
from cellular.report.style import save

# More plates than this do not fit on one picture.
MOST_PLATES = 12
FEWEST_WELLS = 4
_MIXED = {
    "well": "wells.csv, and what is said of the plate, are without these",
    SAMPLE: "it is taken for one dish; several need names of their own in the plate map's column 'sample'",
}
# What there may be of tables.
TABLES = (
    *("factor", "doses", "dose_points", "wells", "place_effects", "assay_quality"),
    *("flux", "flux_pools", "turnover", "flux_courses"),
)


def assess(result: Comparison, settings: StatsSettings, shown: Sequence[str]) -> Assay:
    """Flux, doses, factor and plate of a comparison, as far as its map goes; writes nothing.

    `shown` are the features to show first. Raises InputError for options that the table cannot follow.
    """
    features, before = list(result.features), result.before
    flux = compare_flux(result.with_inhibitor, result.arms, features, settings, before) if result.arms else None
    factor = compare_factor(result, settings) if settings.factor and len(result.effects) else None
    curves, points = compare_doses(result.cells, features, settings, result.control, result.cells_before)
    series = [name for name in (curves["treatment"].unique() if len(curves) else ()) if name != settings.dose]
    notes = [f"Wells of '{result.control}' without a dose are dose zero of {', '.join(series)}"] if series else []
    wells, places, quality = _plate(result, settings, features, notes)
    first = dict.fromkeys([*([YELLOW] if flux and YELLOW in result.cells else []), *shown, *settings.heatmaps])
    return Assay(
        flux,
        factor,
        curves,
        points,
        wells,
        places,
        quality,
        tuple(notes),
        tuple(first),
        settings.level,
        well_word(result.cells),
    )


def _plate(
    result: Comparison, settings: StatsSettings, features: list[str], notes: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Means of wells with their normalised values, effects of place, quality of the controls; adds to `notes`."""
    nothing = pd.DataFrame()
    table = result.cells if result.with_inhibitor is None else result.with_inhibitor
    asked = choose_features(table, replace(settings, features=settings.heatmaps)) if settings.heatmaps else []
    inhibitor = result.arms.column if result.arms else None
    columns = ("treatment", inhibitor, settings.dose, settings.factor, "control")
    given = list(dict.fromkeys(name for name in columns if name and name in table))
    if mixed := wells_of_several(table, given):
        table, word = table[~table["well"].isin(mixed)], well_word(table)
        notes.append(f"{len(mixed)} {word}(s) hold cells of several arms, such as {mixed[0]}: {_MIXED[word]}")
    if table.empty:
        return nothing, nothing, nothing
    wells = well_means(table, list(dict.fromkeys([*features, *asked])), given, result.before)
    if wells["well"].nunique() < FEWEST_WELLS:
        return nothing, nothing, nothing
    control = wells["treatment"] == result.control
    if result.arms:
        control &= result.arms.of(wells) == result.arms.none
    wells = normalised(wells, control)
    if settings.b_score:
        wells = with_b_scores(wells)
    kind = control_kinds(wells["control"]) if "control" in wells else pd.Series(dtype=object)
    quality = assay_quality(wells, kind) if kind.notna().any() else nothing
    return wells, place_effects(wells, [name for name in given if name != "control"]), quality


def write_assay(assay: Assay, out: Path, treatments: Sequence[str] = ()) -> Assay:
    """Write the tables and figures that there are to folder `out`; the pictures are in what comes back.

    ``flux.csv``, ``flux_pools.csv``, ``flux_courses.csv``, ``turnover.csv``, ``factor.csv``, ``doses.csv``,
    ``dose_points.csv``, ``wells.csv``, ``place_effects.csv``, ``assay_quality.csv``. `treatments` are all of the page.
    """
    flux = assay.flux
    of_flux = (flux.table, flux.pools, flux.turnover, flux.courses) if flux else (None,) * 4
    of_plate = (assay.factor, assay.curves, assay.points, assay.wells, assay.places, assay.quality)
    for name, table in zip(TABLES, (*of_plate, *of_flux)):
        if table is not None and len(table):
            write_csv(out / f"{name}.csv", table)
    return replace(assay, pictures=_draw(assay, out / "figures", treatments))


def _draw(assay: Assay, folder: Path, treatments: Sequence[str]) -> dict[str, dict[str, Path]]:
    pictures: dict[str, dict[str, Path]] = {"flux": {}, "doses": {}, "plate": {}}
    files, drugs = plain_names(assay.shown), plain_names(assay.curves["treatment"] if len(assay.curves) else ())
    for feature in assay.shown:
        if assay.flux:
            pictures["flux"] |= _draw_flux(assay.flux, feature, files[feature], folder, treatments)
        if len(assay.wells) and (assay.wells["feature"] == feature).any():
            plates = sorted(assay.wells["plate"].unique(), key=number_order)
            figure = heatmap(assay.wells[assay.wells["plate"].isin(plates[:MOST_PLATES])], feature)
            some = f", the first {MOST_PLATES} of {len(plates)} plates" if len(plates) > MOST_PLATES else ""
            path = folder / f"plate_{files[feature]}.svg"
            pictures["plate"][f"{axis_label(feature)}{some}."] = save(figure, path, _of(assay.wells, feature))
    for _, curve in assay.curves.iterrows():
        if curve["feature"] in assay.shown:
            own = assay.points["feature"].eq(curve["feature"]) & assay.points["treatment"].eq(curve["treatment"])
            path = folder / f"dose_{files[curve['feature']]}_{drugs[curve['treatment']]}.svg"
            what = f"{axis_label(curve['feature'])} over {curve['treatment']}"
            caption = f"{what}; dotted and grey: EC50 and its interval."
            figure = dose_figure(curve, assay.points[own], assay.points["replicate"].unique())
            pictures["doses"][caption] = save(figure, path, assay.points[own])
    return pictures


def _draw_flux(flux: Flux, feature: str, file: str, folder: Path, treatments: Sequence[str]) -> dict[str, Path]:
    pictures, drugs = {}, plain_names(flux.arms.inhibitors)
    for inhibitor in flux.arms.inhibitors:
        rows, slopes = flux.table, flux.turnover
        if (rows["feature"].eq(feature) & rows["inhibitor"].eq(inhibitor)).any():
            path = folder / f"flux_{file}_{drugs[inhibitor]}.svg"
            caption = f"{axis_label(feature)}: pools of the replicates, and their flux with {inhibitor}."
            pictures[caption] = save(flux_figure(flux, feature, inhibitor, treatments), path, _of(flux.pools, feature))
        if len(slopes) and (slopes["feature"].eq(feature) & slopes["inhibitor"].eq(inhibitor)).any():
            path = folder / f"course_{file}_{drugs[inhibitor]}.svg"
            caption = f"{axis_label(feature)} after the block: with {inhibitor} filled, without open."
            pictures[caption] = save(course_figure(flux, feature, inhibitor), path, _of(flux.courses, feature))
    return pictures


def _of(table: pd.DataFrame, feature: str) -> pd.DataFrame:
    """The rows of one feature: what its figure shows."""
    return table[table["feature"] == feature]
