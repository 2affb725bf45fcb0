"""Sums over the cells of every image: all that a comparison needs of them, however many cells there are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import t as student

from cellular.autophagy.compare.design import LEVELS, UNKNOWN, StatsSettings, as_text, in_order, told
from cellular.autophagy.compare.inference import Inference, inference


@dataclass(frozen=True)
class ImageSums:
    """Cells summed up by image (I) and feature (F); an image whose cells have several treatments has a row for each.

    Attributes
    ----------
    images : I rows: LEVELS, ``timepoint, treatment``, and :data:`FACTOR` where a factor was named.
    features : F names.
    size : (I, F) cells with a finite value.
    total, squares : (I, F) sum of their values and of the squares.
    scatter : (I, F) sum of squared distances from the image's mean.
    """

    images: pd.DataFrame
    features: tuple[str, ...]
    size: np.ndarray
    total: np.ndarray
    squares: np.ndarray
    scatter: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """(I, F) mean of the image's cells; NaN without any."""
        return np.divide(self.total, self.size, out=np.full(self.total.shape, np.nan), where=self.size > 0)

    def only(self, features: Sequence[str]) -> "ImageSums":
        """The same of some features."""
        at = [self.features.index(name) for name in features]
        sums = (values[:, at] for values in (self.size, self.total, self.squares, self.scatter))
        return ImageSums(self.images, tuple(features), *sums)

    def known(self, feature: str) -> np.ndarray:
        """(I,) bool: the images that have the feature."""
        return self.size[:, self.features.index(feature)] > 0

    def values(self, feature: str, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Of the feature in some `rows`, a mask or numbers, that have it: ``value`` (mean), and all the sums."""
        at = self.features.index(feature)
        sums = {name: getattr(self, name)[rows, at] for name in ("size", "total", "squares", "scatter")}
        return {"value": sums["total"] / sums["size"], **sums}

    def of(self, feature: str) -> pd.DataFrame:
        """`images` that have the feature, with its :meth:`values`."""
        known = self.known(feature)
        return self.images[known].assign(**self.values(feature, known))


# The level of the further factor, where treatments are compared within its levels.
FACTOR = "factor/level"


def sum_images(table: pd.DataFrame, features: Sequence[str], factor: str | None = None) -> ImageSums:
    """Sum up a nested table (:func:`cellular.autophagy.compare.design.nest`), one feature at a time.

    `factor` is a column within whose levels images are to be compared.
    """
    keys = [*LEVELS, "timepoint", "treatment"]
    groups = table.groupby(["image", "treatment"], sort=True, observed=True)
    codes = groups.ngroup().to_numpy()
    order = np.unique(codes, return_index=True)[1]
    images = table.iloc[order][keys].reset_index(drop=True)
    if factor:
        images[FACTOR] = as_text(table[factor]).iloc[order].fillna(UNKNOWN).to_numpy()
    size, total, squares, scatter = (np.zeros((len(images), len(features))) for _ in range(4))
    for at, feature in enumerate(features):
        values = table[feature].to_numpy(np.float64, na_value=np.nan)
        known = np.isfinite(values)
        here, values = codes[known], values[known]
        size[:, at] = np.bincount(here, minlength=len(images))
        total[:, at] = np.bincount(here, values, minlength=len(images))
        squares[:, at] = np.bincount(here, values**2, minlength=len(images))
        means = total[:, at] / np.maximum(size[:, at], 1)
        scatter[:, at] = np.bincount(here, (values - means[here]) ** 2, minlength=len(images))
    return ImageSums(images, tuple(features), size, total, squares, scatter)


def compared(images: pd.DataFrame, settings: StatsSettings) -> tuple[Inference, pd.DataFrame]:
    """What the images of two treatments allow, and those of them that are compared.

    Where replicates hold both treatments side by side, one that holds a single treatment has no difference to show: a
    day on which the control alone was imaged would move a ratio of rates by what the day does. So do plates of one
    replicate: see :func:`on_shared_plates`.
    """
    if images["treatment"].nunique() < 2:
        return Inference("well", 0), images
    images = images[on_shared_plates(images, images["treatment"])]
    allowed = inference(images, settings)
    whole = images.groupby("replicate")["treatment"].transform("nunique") == 2
    return allowed, images[whole] if allowed.unit == "replicate" and whole.any() else images


def parts_of(images: pd.DataFrame) -> tuple[pd.Series, ...]:
    """The plate of each image within its replicate, those that nobody knows being one; and its level of a factor there.

    Coarse to fine.
    """
    plates = images["replicate"] + "/" + told(images["plate"]).fillna("")
    return (plates, plates + ", " + images[FACTOR]) if FACTOR in images else (plates,)


def blocks_of(images: pd.DataFrame, arms: pd.Series) -> pd.Series:
    """The block of each image, within which `arms` are compared: in each replicate the finest that holds all of them.

    These are the plates' levels of a factor, else the plates (:func:`parts_of`), else the replicate.
    """
    blocks = images["replicate"]
    for finer in parts_of(images):
        shared = arms.groupby(finer).transform("nunique") == arms.nunique()
        blocks = finer.where(shared.groupby(images["replicate"]).transform("any"), blocks)
    return blocks


def on_shared_plates(images: pd.DataFrame, arms: pd.Series) -> pd.Series:
    """Images (bool) in blocks that hold all `arms` (:func:`blocks_of`); of a replicate without plates that do, all.

    Plates differ in staining and exposure: the control of one to which a treatment was not given says nothing of it.
    So do the levels of a factor.
    """
    blocks = blocks_of(images, arms)
    return (arms.groupby(blocks).transform("nunique") == arms.nunique()) | (blocks == images["replicate"])


def connected(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(N,) number of the part that each of N entries of a two-way table is in, by its row and column.

    Entries of one row or column are in one part, directly or by others: within it, levels of columns can be told from
    those of rows.
    """
    (row, above), (column, beside) = pd.factorize(rows), pd.factorize(columns)
    size = len(above) + len(beside)
    links = coo_array((np.ones(len(row)), (row, len(above) + column)), shape=(size, size))
    return connected_components(links, directed=False)[1][row]


def means_over_time(
    sums: ImageSums, features: Sequence[str], settings: StatsSettings, before: ImageSums | None = None
) -> pd.DataFrame:
    """Mean of unit means with Student's interval: ``feature, treatment, timepoint, mean, ci_low, ci_high, unit, n``.

    Then what went in, ``replicates, wells, images, cells``, each with its ``<n>_before`` where fields were left out.

    Units are those of :func:`unit_of_means`. Cells are averaged within images first, images within units next, so that
    a crowded field does not outvote the others.
    """
    sums = sums.only(features)
    images = sums.images
    unit = unit_of_means(images, settings)
    keys = ["treatment", "timepoint", unit]
    means = pd.DataFrame(sums.mean, columns=list(features), index=pd.MultiIndex.from_frame(images[keys]))
    groups = means.groupby(level=keys).mean().groupby(level=["treatment", "timepoint"])
    long = pd.concat(
        {"mean": groups.mean().stack(), "sd": groups.std().stack(), "n": groups.count().stack()}, axis=1
    ).rename_axis(["treatment", "timepoint", "feature"])
    half = student.ppf((1 + settings.level) / 2, (long["n"] - 1).clip(lower=1)) * long["sd"] / np.sqrt(long["n"])
    half = half.where((long["n"] > 1) & told(images[unit]).notna().all())
    long = long.assign(ci_low=long["mean"] - half, ci_high=long["mean"] + half, unit=unit).reset_index()
    order = {name: place for place, name in enumerate(in_order(long["treatment"]))}
    long = long[["feature", "treatment", "timepoint", "mean", "ci_low", "ci_high", "unit", "n"]]
    return with_n(long, sums, ["treatment", "timepoint"], before).sort_values(
        ["feature", "treatment", "timepoint"],
        key=lambda column: column.map(order) if column.name == "treatment" else column,
        ignore_index=True,
    )


def unit_of_means(table: pd.DataFrame, settings: StatsSettings) -> str:
    """Whose means are averaged: "replicate" where each treatment has at least `min_replicates`, else "well"."""
    per_arm = table.groupby("treatment")["replicate"].nunique()
    dated = told(table["replicate"]).notna().all()
    return "replicate" if per_arm.min() >= settings.min_replicates and dated else "well"


def with_n(rows: pd.DataFrame, sums: ImageSums, keys: Sequence[str], before: ImageSums | None) -> pd.DataFrame:
    """`rows` (with ``feature`` and `keys`, columns of ``sums.images``) and n: ``replicates, wells, images, cells``.

    `before` are the sums with the fields that were left out: then each n has its ``<n>_before``. An n that `rows`
    have already stays.
    """
    on = [*keys, "feature"]
    counted = _count(sums, keys)
    if before is not None:
        counted = counted.merge(_count(before, keys), on=on, how="outer", suffixes=("", "_before"))
    names = [name for level in _COUNTED for name in (level, f"{level}_before") if name in counted and name not in rows]
    table = rows.merge(counted[[*on, *names]], on=on, how="left")
    return table.fillna(dict.fromkeys(names, 0)).astype(dict.fromkeys(names, int))


_COUNTED = ("replicates", "wells", "images", "cells")


def beside_before(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    """n by name, each followed by what it was before fields were left out, its ``<n>_before``."""
    return {part: n for name in now for part, n in ((name, now[name]), (f"{name}_before", before[name]))}


def _count(sums: ImageSums, keys: Sequence[str]) -> pd.DataFrame:
    """n of what has a value of each feature, by `keys`; units that are not told apart count for nothing."""
    units = {level: told(sums.images[level]) for level in ("replicate", "well", "image")}
    images, levels = sums.images.assign(**{f"{name}s": values for name, values in units.items()}), list(_COUNTED[:3])
    # most features are known of the same images, which are then counted once for all of these
    patterns, pattern_of = np.unique(sums.size > 0, axis=1, return_inverse=True)
    tables = []
    for number, known in enumerate(patterns.T):
        own = np.flatnonzero(pattern_of.ravel() == number)
        names = pd.Index([sums.features[k] for k in own], name="feature")
        cells = pd.DataFrame(sums.size[np.ix_(known, own)].astype(int), images.index[known], names)
        groups = pd.concat([images[known], cells], axis=1).groupby(list(keys), observed=True)
        summed = groups[list(names)].sum().rename_axis(columns="feature").stack().rename("cells")
        tables.append(summed.reset_index().merge(groups[levels].nunique().reset_index(), on=list(keys)))
    return pd.concat(tables, ignore_index=True)
