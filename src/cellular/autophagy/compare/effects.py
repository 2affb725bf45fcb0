"""Treatments compared with statistics that respect how cells are nested; never a p-value with the cell as the unit."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from cellular.autophagy.compare.design import (
    LEVELS,
    StatsSettings,
    before_and_after,
    control_of,
    count_units,
    in_order,
    nest,
    pooled_factors,
)
from cellular.autophagy.compare.images import ImageSums, means_over_time, sum_images
from cellular.autophagy.compare.inhibitor import Arms, find_arms, not_pooled
from cellular.autophagy.compare.notes import not_side_by_side, shares, stray_word, taken_for_granted
from cellular.autophagy.compare.pairs import EFFECTS, Pair
from cellular.autophagy.compare.states import states_over_time
from cellular.autophagy.measure.columns import OF_IMAGES, describe
from cellular.errors import InputError

ALL = "all"
# Features that are compared in one go: what the images allow is worked out once for all of them.
PART = 10

# Who a cell is and where, not what it is like.
_IDENTITY = {
    *LEVELS,
    *("field", "label", "cell", "series", "site", "timepoint", "date", "treatment", "class", "source", "frame"),
    *("track", "parent", "lineage", "y", "x", "row", "column", "pixel_size_um", "threshold"),
}
_IDENTITY_PATTERN = re.compile(
    r"^(centroid|bbox|box|touches|is_|saturat|border|center|image_)|_(y|x)$|^probability_.*_model$"
)
_COUNT_PATTERN = re.compile(
    r"^(n|puncta|count)_(?!.*(area|fraction|density|mean|median|intensity|many|per_level|positive|chance|distance))"
    r"|^mitolysosomes$|_count(__.*)?$"
)


@dataclass(frozen=True)
class Comparison:
    """Result of :func:`compare`.

    Attributes
    ----------
    effects : one row per feature, treatment and timepoint (``"all"`` or a number); see :func:`compare`.
    over_time : mean and interval of every feature per treatment and timepoint.
    states : how many cells are in a state, by treatment and timepoint (:func:`states_over_time`).
    units : n at every level per treatment; with ``<level>_before``, where fields were left out.
    control : treatment the others are compared with; a treatment that stands alone, for its flux, is its own.
    features : what was compared.
    refusals : why there are no p-values, where there are none; each reason once.
    notes : what was taken for granted, left out or pooled; a sentence each.
    measurements : every column that measures cells, compared or not.
    cells : the nested table the comparison rests on: wells without inhibitor, where some had one.
    with_inhibitor : the nested table of all wells, and `arms` who had an inhibitor; None where nobody differs in it.
    before : the nested table of all wells before fields were left out; None where none was.
    """

    effects: pd.DataFrame
    over_time: pd.DataFrame
    states: pd.DataFrame
    units: pd.DataFrame
    control: str
    features: tuple[str, ...]
    refusals: tuple[str, ...]
    notes: tuple[str, ...]
    measurements: tuple[str, ...]
    cells: pd.DataFrame
    with_inhibitor: pd.DataFrame | None = None
    arms: Arms | None = None
    before: pd.DataFrame | None = None

    @property
    def cells_before(self) -> pd.DataFrame | None:
        """`cells` before fields were left out; None where none was."""
        if self.before is None or self.arms is None:
            return self.before
        return not_pooled(self.before, self.arms)[0]

    @property
    def replicates(self) -> dict[str, str]:
        """The replicate of every field that has a treatment, those that were left out included."""
        tables = (self.before, self.with_inhibitor, self.cells)
        every = next(table for table in tables if table is not None).drop_duplicates("image")
        return dict(zip(every["image"], every["replicate"]))


def compare(
    cells: pd.DataFrame,
    settings: StatsSettings | None = None,
    images: pd.DataFrame | None = None,
    left_out: Collection[str] = (),
    each: Callable[[Callable[[Any], Any], Sequence["Features"]], Iterable[Any]] = map,
) -> Comparison:
    """Compare every treatment with the control, feature by feature, over all timepoints and at each.

    Parameters
    ----------
    cells, images : see :func:`cellular.autophagy.compare.design.nest`.
    left_out : fields that are not compared; every n is then told before and after.
    each : does a function to every part of the features and gives the results in order, as `map` does: here, or where
        else the work is to be done.

    Returns
    -------
    ``effects`` has the columns ``feature, kind`` (mean or count), ``treatment, control, timepoint, measure``
    (difference or rate ratio), ``estimate, ci_low, ci_high, standardised, standardised_low, standardised_high`` (the
    difference in standard deviations of cells within a treatment; means only), ``p_value, q_value``
    (Benjamini and Hochberg, J R Stat Soc B 57, 289, 1995, over the features), ``unit`` (whose scatter the interval
    shows), ``df, model``, ``note`` (why an estimate or interval is missing), ``refusal`` (why there is no p-value),
    and ``<level>s_control, <level>s_treated`` for n at every level (``..._before`` too, where fields were left out).
    Means are compared by linear mixed models, counts by negative binomial regression
    (:mod:`cellular.autophagy.compare.models`).

    Raises InputError for unknown features, an unclear control, where `left_out` leaves nothing, or with fewer than two
    treatments; one that was given with and without a lysosomal inhibitor may stand alone.
    """
    settings = settings or StatsSettings()
    all_fields = nest(cells, settings, images)
    everything = table = _without(all_fields, left_out)
    arms, before = find_arms(table, settings), all_fields
    kept_apart: tuple[str, ...] = ()
    if arms:
        table, told_apart = not_pooled(table, arms)
        kept_apart = (told_apart,)
        before = not_pooled(before, arms)[0]
    control = control_of(table, settings, alone=arms is not None)
    table = shares(table, settings.features)
    measured, described = _measured(table, cells, settings, images)
    features = list(dict.fromkeys(settings.features)) or measured.features
    sums = measured if set(features) <= set(measured.features) else sum_images(table, features, settings.factor)
    if not features:
        raise InputError("No column holds a measurement of cells: numbers that differ from cell to cell")
    kinds = {name: is_count(name, table[name], settings) for name in features}
    old = sum_images(before, features, settings.factor) if len(left_out) else None
    pairs = list(_comparisons(sums.images, control))
    overall = [pair for pair in pairs if pair[1] == ALL]
    parts = [Features(features[at : at + PART]) for at in range(0, len(features), PART)]
    by_part = list(each(_Comparing(sums, kinds, control, pairs, settings), parts))
    # by pair and then by feature, however they were shared out
    rows = [row for at in range(len(pairs)) for part in by_part for row in part[at]]
    effects = with_q_values(_with_n_before(pd.DataFrame(rows, columns=EFFECTS), old, settings))
    units = count_units(table)
    return Comparison(
        effects=effects,
        over_time=means_over_time(sums, features, settings, old),
        states=states_over_time(table, settings),
        units=units if old is None else before_and_after(count_units(before), units),
        control=control,
        features=tuple(features),
        refusals=tuple(effects.loc[(effects["timepoint"] == ALL) & (effects["refusal"] != ""), "refusal"].unique()),
        notes=(
            *kept_apart,
            *taken_for_granted(table, len(cells), len(all_fields), settings),
            *not_side_by_side(sums.images, overall, control, settings),
            *pooled_factors(everything, described, settings, arms and arms.given(everything)),
        ),
        measurements=measured.features,
        cells=table,
        with_inhibitor=everything if arms else None,
        arms=arms,
        before=all_fields if len(left_out) else None,
    )


@dataclass(frozen=True)
class Features:
    """Some of the features, compared in one go."""

    names: Sequence[str]

    @property
    def name(self) -> str:
        """What a list of problems calls them."""
        return f"{self.names[0]} to {self.names[-1]}"


@dataclass(frozen=True)
class _Comparing:
    """Rows of ``effects`` of some features, a list for each of `pairs`; it may travel to other processes."""

    sums: ImageSums
    kinds: Mapping[str, bool]
    control: str
    pairs: Sequence[tuple[str, int | str, np.ndarray]]
    settings: StatsSettings

    def __call__(self, part: Features) -> list[list[dict]]:
        kinds = {name: self.kinds[name] for name in part.names}
        return [
            list(Pair(self.sums, chosen, treatment, self.settings).effects(kinds, self.control, timepoint))
            for treatment, timepoint, chosen in self.pairs
        ]


def _without(table: pd.DataFrame, left_out: Collection[str]) -> pd.DataFrame:
    """The nested cells of the other fields; InputError where none is left."""
    if not len(left_out):
        return table
    left = table[~table["image"].isin(list(left_out))]
    if left.empty:
        raise InputError(f"--exclude leaves nothing: all {table['image'].nunique()} fields to compare are left out")
    return left


def _measured(
    table: pd.DataFrame, cells: pd.DataFrame, settings: StatsSettings, images: pd.DataFrame | None
) -> tuple[ImageSums, list[str]]:
    """Sums of all that was measured in cells, and the names of the other columns: what is known of wells and images.

    A number that came from the table of images, or is the same for all cells of every image, measures no cell.
    """
    choose_features(table, settings)
    told = set() if images is None else set(images)  # a plate map's numbers, which cells have from there
    numbers = [name for name in choose_features(table, StatsSettings()) if name in cells]
    sums = sum_images(table, [name for name in numbers if name not in told or describe("cells", name)], settings.factor)
    crowded = sums.size > 1
    steady = sums.scatter <= (1e-10 * np.nan_to_num(sums.mean)) ** 2 * sums.size
    same = crowded.any(0) & (steady | ~crowded).all(0)
    kept = [name for name, is_same in zip(sums.features, same) if not is_same]
    return sums.only(kept), [name for name in table if name not in kept and name not in _IDENTITY]


def choose_features(table: pd.DataFrame, settings: StatsSettings) -> list[str]:
    """The columns to compare: those asked for, or every number that describes a cell and is not constant.

    What describes the image (its background, its count of cells) is compared only where it is asked for.
    """
    if settings.features:
        missing = [name for name in settings.features if name not in table]
        if missing:
            raise InputError(f"No column(s) {missing}; there are: {', '.join(map(str, table.columns[:60]))}")
        words = [name for name in settings.features if table[name].dtype.kind not in "iufb"]
        if words:
            stray = {name: stray_word(table[name]) for name in words}
            said = ", ".join(f"{name} ('{word}')" if word is not None else name for name, word in stray.items())
            raise InputError(f"Column(s) hold what is no number: {said}; leave the field empty where there is none")
        return list(dict.fromkeys(settings.features))
    return [
        name
        for name in table.columns
        if table[name].dtype.kind in "iuf"
        and name not in _IDENTITY
        and name not in OF_IMAGES
        and not _IDENTITY_PATTERN.search(name)
        and table[name].min() < table[name].max()
    ]


def is_count(name: str, values: pd.Series, settings: StatsSettings) -> bool:
    """Whether a column counts things: named so, or declared so, and all values whole, none negative or over 2^31."""
    if not (name in settings.counts or _COUNT_PATTERN.search(name)):
        return False
    known = values.dropna()
    return bool(((known >= 0) & (known == known.round()) & (known < 2**31)).all())


def _comparisons(images: pd.DataFrame, control: str) -> Iterator[tuple[str, int | str, np.ndarray]]:
    """Images (I,) bool of the control and one treatment, over all timepoints and then at each that has both."""
    for treatment in in_order(set(images["treatment"]) - {control}):
        pair = images["treatment"].isin([control, treatment])
        yield treatment, ALL, pair.to_numpy()
        timepoints = images.loc[pair].groupby("timepoint")["treatment"].nunique()
        if len(timepoints) > 1:
            for timepoint in timepoints.index[timepoints == 2]:
                yield treatment, int(timepoint), (pair & (images["timepoint"] == timepoint)).to_numpy()


def _with_n_before(effects: pd.DataFrame, before: ImageSums | None, settings: StatsSettings) -> pd.DataFrame:
    """`effects` with every n before fields were left out, as ``<n>_before``; as they are where none was."""
    if before is None:
        return effects
    rows = []
    # rows of a pair lie side by side
    for (treatment, control, timepoint), own in effects.groupby(["treatment", "control", "timepoint"], sort=False):
        arms = before.images["treatment"].isin([control, treatment])
        then = timepoint == ALL or before.images["timepoint"] == timepoint
        pair = Pair(before, (arms & then).to_numpy(), treatment, settings)
        rows += [{f"{name}_before": number for name, number in pair.n(feature).items()} for feature in own["feature"]]
    return effects.join(pd.DataFrame(rows, effects.index))


def with_q_values(effects: pd.DataFrame, apart: Sequence[str] = ()) -> pd.DataFrame:
    """Add ``q_value``: false discovery rate over features, apart for 'all' and single timepoints, and by `apart`."""
    effects = effects.copy()
    effects.insert(effects.columns.get_loc("p_value") + 1, "q_value", np.nan)
    families = [effects["timepoint"] == ALL, *(effects[name] for name in apart)]
    for _, family in effects[effects["p_value"].notna()].groupby(families):
        effects.loc[family.index, "q_value"] = false_discovery_control(family["p_value"].astype(float))
    return effects
