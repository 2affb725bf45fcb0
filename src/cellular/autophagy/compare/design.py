"""Who is nested in whom: cells in images of positions in wells on plates in biological replicates.

Cells of one well share its pipetting, its edge of the plate and its day. Taking each as an independent observation
makes p-values that are too small by orders of magnitude (Lazic, BMC Neurosci 11, 5, 2010; Lord et al., J Cell Biol 219,
e202001064, 2020), so every function here counts the units of each level and names the one a conclusion may rest on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cellular.autophagy.measure.columns import OF_IMAGES, describe
from cellular.data.dates import days_of, experiments, first_dates
from cellular.data.fields import parse_field, series_of
from cellular.data.formats.suffixes import field_name, same_name
from cellular.data.platemap import SAMPLE, cellular_treatment
from cellular.data.wells import well_name
from cellular.errors import InputError, SettingsError
from cellular.files import as_numbers, number_order, of_words, worded

# Coarse to fine. `position` is one site of one well; `image` is one timepoint of it.
LEVELS = ("replicate", "plate", "well", "position", "image")
# Words for a name that is not known, in columns of dates, plates, wells and sites.
_NO_NAME = ("na", "n/a", "#n/a", "nan", "none", "null", "unknown", "?", "-")
# A column of more values than these is none of what wells were given.
_MOST_LEVELS = 12
# Stands for every date or well that is not known: they are not told apart.
UNKNOWN = "?"


@dataclass(frozen=True)
class StatsSettings:
    """What is compared with what.

    Attributes
    ----------
    treatment : column that says how a cell was treated.
    control : the treatment that others are compared with; None takes 'fed' where there is one.
    replicate : column that tells biological replicates apart; None takes each date as one, however many plates, and in
        `stats` and `analyse` the column 'replicate' where there is one.
    inhibitor : column of the lysosomal inhibitor; None takes the column 'inhibitor' where there is one.
    no_inhibitor : its value in wells without inhibitor; None recognises it ('none', 'vehicle', '0' and the like).
    factor : one further column, a genotype say, whose interaction with the treatment is asked for.
    dose : column of doses, numbers. time : column of the time after the block, numbers; None takes the timepoints.
    heatmaps : columns to draw on the plate; empty takes the first few that were compared.
    b_score : add B-scores (median polish) to the table of wells.
    features : columns to compare; empty takes every measured number.
    counts : columns that are counts, on top of those recognised by their name.
    min_replicates : fewest biological replicates of each treatment for a p-value.
    level : 0..1, coverage of intervals.
    """

    treatment: str = "treatment"
    control: str | None = None
    replicate: str | None = None
    inhibitor: str | None = None
    no_inhibitor: str | None = None
    factor: str | None = None
    dose: str = "dose"
    time: str | None = None
    heatmaps: tuple[str, ...] = ()
    b_score: bool = False
    features: tuple[str, ...] = ()
    counts: tuple[str, ...] = ()
    min_replicates: int = 3
    level: float = 0.95

    def __post_init__(self) -> None:
        if self.min_replicates < 2:
            raise SettingsError(f"min_replicates must be 2 or more, got {self.min_replicates}")
        if not 0 < self.level < 1:
            raise SettingsError(f"level must lie between 0 and 1, got {self.level}")

    @property
    def words(self) -> list[str]:
        """The columns whose values are names, however they look: 001 and 1 are two."""
        return [name for name in (self.treatment, self.replicate, self.inhibitor, self.factor) if name]


def nest(cells: pd.DataFrame, settings: StatsSettings, images: pd.DataFrame | None = None) -> pd.DataFrame:
    """The cells with one column per level of :data:`LEVELS`, ``treatment`` (text) and ``timepoint``.

    Parameters
    ----------
    cells : one row a cell, with ``field``; ``date, plate, well, site, timepoint`` and the treatment are taken from
        here, else from `images` by ``field``, else read from the field's name (the treatment only without `images`).
    images : one row a field (``images.csv`` of ``cellular measure``).

    Where no well at all is known, there is no plate, and a column ``sample`` stands for the well: a dish, a coverslip,
    within its replicate. What is not known makes no unit: wells that no name or column tells are one, :data:`UNKNOWN`,
    and so are dates and, where no well tells that there was one, plates. Cells without a treatment are left out.

    Raises InputError for a table that is not of this kind, where nothing is left, or where a replicate column divides a
    well (such replicates would be pieces of one experiment).
    """
    _check(cells, "cells")
    _check_once(cells)
    codes, fields = pd.factorize(cells["field"].astype(str))
    described = _describe(fields, images)
    columns = dict(cells.items())  # a frame with so many columns warns of each that is added, and would copy them
    for name in described.columns.difference(cells.columns):
        columns[name] = pd.Series(described[name].to_numpy()[codes], cells.index)
    for name in (settings.treatment, settings.replicate, settings.inhibitor, settings.factor, settings.time):
        if name and name not in columns:
            raise InputError(f"No column '{name}' in the cells, the images or the field names")
    columns["treatment"] = as_text(columns[settings.treatment])
    columns["timepoint"] = as_numbers(columns["timepoint"]).fillna(1).astype(int)
    columns["date"] = days_of(_names(columns["date"]))
    plates, wells, sites = (_names(columns[name]) for name in ("plate", "well", "site"))
    wells = worded(wells, {name: well_name(name.replace(" ", "")) or name for name in wells.dropna().unique()})
    samples = _names(columns[SAMPLE]) if SAMPLE in columns and wells.isna().all() else None
    places = (plates, wells) if samples is None else (samples, samples)
    dates = columns["date"]
    if wells.isna().all():
        dates = first_dates(dates, pd.Series(fields.map(series_of).to_numpy()[codes], cells.index))
    experiment = experiments(dates, *places, sites, columns["timepoint"]).fillna(UNKNOWN)
    columns["replicate"] = as_text(columns[settings.replicate]).fillna(UNKNOWN) if settings.replicate else experiment
    # Without any well, what passes for plates are folders of days.
    plates = plates.where(plates.notna() | wells.isna(), "") if wells.notna().any() else wells
    columns["plate"] = _named_within_day(experiment, plates.fillna(UNKNOWN))
    columns["well"] = _named_within(columns["plate"], "/", wells.fillna(UNKNOWN))
    if samples is not None:
        if SAMPLE not in settings.words:
            del columns[SAMPLE]  # as no condition beside the treatment
        # "dish 1" of another day is another dish
        days = columns["replicate"].where(columns["replicate"] != UNKNOWN, "")
        columns["well"] = _named_within(days, ": ", samples.fillna(UNKNOWN))
    columns["position"] = _named_within(columns["well"], "/", sites.fillna(UNKNOWN))
    columns["image"] = pd.Series(fields.to_numpy()[codes], cells.index)
    treated = columns["treatment"].notna()
    if not treated.any():
        others = sorted({n for n in columns if of_words(columns[n])} - {"date", "treatment", *LEVELS, *OF_IMAGES})
        raise InputError(
            f"No cell has a value in column '{settings.treatment}': it comes from the plate map, or from images.csv; "
            f"--treatment names a column that is called otherwise{', of ' if others else ''}{', '.join(others)}"
        )
    table = pd.DataFrame(columns, copy=False)
    table = table if treated.all() else table[treated]
    if settings.replicate:
        _check_replicates(table, settings.replicate)
    for column, level in ((settings.factor, "well"), (settings.inhibitor, "image")):
        if column:
            _check_given(table, column, level)
    return table


def _named_within_day(experiment: pd.Series, plates: pd.Series) -> pd.Series:
    """Plates as those of their day; where no day is known by their own name, unless another is called so."""
    named, undated = _named_within(experiment, "-", plates), experiment == UNKNOWN
    return plates.where(undated & ~plates.isin(named[~undated].unique()), named)


def _named_within(outer: pd.Series, mark: str, inner: pd.Series) -> pd.Series:
    """`outer`, `mark` and `inner` as one name, none missing; a name is made once and not for each of its cells.

    Where one of the two is empty, the other alone.
    """
    (first, outers), (second, inners) = pd.factorize(outer), pd.factorize(inner)
    codes, pairs = pd.factorize(first.astype(np.int64) * len(inners) + second)
    names = [mark.join(filter(None, (outers[pair // len(inners)], inners[pair % len(inners)]))) for pair in pairs]
    return pd.Series(np.array(names, dtype=object)[codes], outer.index)


def _names(values: pd.Series) -> pd.Series:
    """Names of dates, plates, wells or sites as text; words that say there is none are missing."""
    names = as_text(values)
    return worded(names, {name: name for name in names.dropna().unique() if name.casefold() not in _NO_NAME})


def _check_given(table: pd.DataFrame, column: str, level: str) -> None:
    """What a well was given is one thing; a column that differs from cell to cell is a measurement."""
    pairs = table.loc[told(table[level]).notna(), [level, column]].dropna().drop_duplicates()[level]
    if pairs.duplicated().any():
        where = pairs[pairs.duplicated()].iloc[0]
        raise InputError(f"Column '{column}' has several values in {level} {where}: it does not say what was given")


def _check_replicates(table: pd.DataFrame, column: str) -> None:
    without = table.loc[table["replicate"] == UNKNOWN, "image"]
    if len(without):
        raise InputError(f"{without.nunique()} image(s), such as {without.iloc[0]}, have no value in column '{column}'")
    known = table.loc[told(table["well"]).notna(), ["well", "replicate"]].drop_duplicates()["well"]
    if known.duplicated().any():
        well = known[known.duplicated()].iloc[0]
        raise InputError(f"Column '{column}' divides well {well}: pieces of one well are not replicates")


def _check(table: pd.DataFrame, name: str) -> None:
    """The door: whatever is wrong with a table of cells or images is said before anything is done with it."""
    if "field" not in table:
        raise InputError(
            f"The table of {name} has no column 'field'; it has: {', '.join(map(str, table.columns[:20]))}"
        )
    if table.empty:
        raise InputError(f"The table of {name} has no rows")
    if table["field"].isna().any():
        raise InputError(f"The table of {name} has {table['field'].isna().sum()} row(s) without a field")
    if "timepoint" in table:
        known = table["timepoint"].dropna()
        numbers = as_numbers(known)
        wrong = known[~(np.isfinite(numbers) & (numbers == numbers.round()) & (numbers.abs() < 2**53))]
        if len(wrong):
            raise InputError(f"Timepoints are whole numbers; the table of {name} has '{wrong.iloc[0]}'")


def _check_once(cells: pd.DataFrame) -> None:
    """Every cell stands in one row: tables joined twice, or two plates with fields of one name, are refused."""
    if "label" not in cells or {"kind", "nucleus"} & set(cells):  # a cell has many puncta, and may have two nuclei
        return
    twice = cells.duplicated(["field", "label"])
    if twice.any():
        cell = cells[twice].iloc[0]
        raise InputError(
            f"The table of cells has two rows for cell {cell['label']} of field {cell['field']}, and for "
            f"{int(twice.sum()) - 1} more: was a table joined twice, or do two plates have fields of one name?"
        )


def as_text(values: pd.Series) -> pd.Series:
    """Names as text without blanks about them, missing ones NaN; whole numbers without a point, however read."""
    if values.dtype.kind == "f":
        whole = values.dropna()
        if ((whole == whole.round()) & (whole.abs() < 2**53)).all():
            values = values.astype("Int64")
    known = pd.unique(values.dropna())
    return worded(values.astype(object), {value: str(value).strip() for value in known if str(value).strip()})


def _describe(fields: pd.Index, images: pd.DataFrame | None) -> pd.DataFrame:
    """What is known of each field, in their order: from its name, overruled by the table of images."""
    parts = [parse_field(name) for name in fields]
    names = ("date", "plate", "well", "site", "timepoint")
    named = pd.DataFrame({name: [getattr(part, name) for part in parts] for name in names}, index=fields, dtype=object)
    named["treatment"] = [cellular_treatment(part.well) for part in parts]
    if images is not None:
        _check(images, "images")
        given = rows_of(fields, images)
        for column in given:
            # an empty treatment is a field that was not to be compared, whatever its row on the plate
            fall_back = column in named and column != "treatment"
            named[column] = given[column].where(given[column].notna(), named[column]) if fall_back else given[column]
    return named.assign(timepoint=as_numbers(named["timepoint"]))


def rows_of(fields: pd.Index, images: pd.DataFrame) -> pd.DataFrame:
    """The rows of the table of images, by field; its names may have the endings of the images' files."""
    for compared in (same_name, lambda name: same_name(field_name(name))):
        names = images["field"].astype(str).map(compared)
        if not names.isin(fields.map(compared)).any():
            continue
        if names.duplicated().any():
            twice = images["field"][names.duplicated()].iloc[0]
            raise InputError(f"The table of images needs one row per field; it has two for {twice}")
        return images.drop(columns="field").set_axis(names).reindex(fields.map(compared)).set_axis(fields)
    raise InputError(
        f"The table of images knows no field of the cells, such as {fields[0]}; "
        f"its own are {images['field'].iloc[0]} ..."
    )


def pooled_factors(
    table: pd.DataFrame, described: Sequence[str], settings: StatsSettings, inhibitor: pd.Series | None = None
) -> list[str]:
    """A sentence for each of the columns `described` that differs between wells of one treatment and is not compared.

    `inhibitor` is each cell's, missing where it had none: in a flux, wells of one are pooled like those of a treatment.
    A column that is empty in some of the wells differs. Columns that go with the replicate alone are left to it.
    """
    own = {settings.treatment, settings.replicate, settings.factor, "control", *LEVELS, *OF_IMAGES}
    group = "Treatment '" + table["treatment"] + "'"
    group = group if inhibitor is None else (group + " with '" + inhibitor + "'").fillna(group)
    table = table.assign(treatment=group)
    sentences = []
    for name in described:
        if name in own or name not in table or describe("images", name):
            continue
        words = of_words(table[name])
        if not words and table[name].nunique() > _MOST_LEVELS:
            continue
        wells = table[["treatment", "replicate", "well", name]].drop_duplicates()
        values = wells[name] if words or name != settings.dose else wells[name].fillna(0)  # given none
        levels = as_text(values).fillna("empty")
        few = levels.nunique() <= min(_MOST_LEVELS, max(2, wells["well"].nunique() // 2))
        if not few or levels.groupby(wells["well"]).nunique().max() > 1:
            continue
        within = levels.groupby([wells["treatment"], wells["replicate"]]).nunique()
        for treatment in within.index[within > 1].unique("treatment"):
            values = sorted(levels[wells["treatment"] == treatment].unique(), key=number_order)
            sentences.append(
                f"{treatment} pools {well_word(table)}s of different {name} ({', '.join(values[:6])}): compare them "
                f"apart, by a column that names both or in a table of one {name} only"
            )
    return sentences


def well_word(table: pd.DataFrame) -> str:
    """What the wells of a nested table are called: "well", or "sample" where it is of no plate."""
    return "well" if told(table["plate"]).notna().any() else SAMPLE


def told(names: pd.Series) -> pd.Series:
    """Names of units, missing where it is not known which one it is."""
    return names.where(~names.str.endswith(UNKNOWN, na=False))


def in_order(treatments: Iterable[str]) -> list[str]:
    """Treatments as they are listed and drawn: fed first, doses by size, others by name."""
    return sorted(set(treatments), key=lambda name: (name != "fed", number_order(name)))


def control_of(table: pd.DataFrame, settings: StatsSettings, *, alone: bool = False) -> str:
    """The control treatment; raises InputError naming the choices where it is not clear or not there.

    A single treatment is refused, unless it may stand `alone`, for a flux: then it is what is returned.
    """
    treatments = in_order(table["treatment"])
    control = (settings.control or "").strip() or ("fed" if "fed" in treatments else None)
    if len(treatments) == 1 and control is None:
        control = treatments[0]
    if control is None or control not in treatments:
        said = f"No treatment is called '{control}'" if control else "Which treatment is the control?"
        raise InputError(f"{said.rstrip('?')}: name one with --control; there are: {', '.join(treatments)}")
    if len(treatments) < 2 and not alone:
        raise InputError(f"Only one treatment, '{treatments[0]}': nothing to compare")
    return control


def count_units(table: pd.DataFrame) -> pd.DataFrame:
    """n that are known at every level, a row per treatment: ``replicates, plates, wells, positions, images, cells``."""
    rows = table[["treatment", *LEVELS]].drop_duplicates()
    counts = rows.assign(**{level: told(rows[level]) for level in LEVELS}).groupby("treatment")[list(LEVELS)]
    counts = counts.nunique().add_suffix("s")
    counts = counts.assign(cells=table.groupby("treatment").size())
    return counts.loc[in_order(counts.index)].reset_index()


def before_and_after(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """n at every level before and after fields are left out: two tables of :func:`count_units` in one.

    Columns: ``treatment``, and for every level ``<level>`` (what results rest on) and ``<level>_before``.
    """
    table = before.merge(after, on="treatment", how="left", suffixes=("_before", ""))
    levels = [name for name in before if name != "treatment"]
    table = table[["treatment", *(part for name in levels for part in (name, f"{name}_before"))]]
    return table.fillna(dict.fromkeys(levels, 0)).astype(dict.fromkeys(levels, int))
