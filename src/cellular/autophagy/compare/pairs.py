"""A treatment against its control, feature by feature; what features of the same images share is worked out once."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from cellular.autophagy.compare.design import LEVELS, StatsSettings, told
from cellular.autophagy.compare.images import ImageSums, compared
from cellular.autophagy.compare.inference import Inference
from cellular.autophagy.compare.models import Fit, MeanModel, fit_count, mean_model

_ARMS = ("control", "treated")
_STANDARDISED = ("standardised", "standardised_low", "standardised_high")
EFFECTS = (
    *("feature", "kind", "treatment", "control", "timepoint", "measure", "estimate", "ci_low", "ci_high", "p_value"),
    *(*_STANDARDISED, "unit", "df", "model", "note", "refusal"),
    *(f"{level}s_{name}" for name in _ARMS for level in LEVELS),
    *(f"cells_{name}" for name in _ARMS),
)


@dataclass(frozen=True)
class Design:
    """What goes for all features that are known of the same images.

    Attributes
    ----------
    rows : (K,) int, the images of :class:`ImageSums` that are compared; `images` tells of them, with ``treated``.
    allowed : what they allow.
    units : n at every level but that of cells, in both arms.
    """

    rows: np.ndarray
    images: pd.DataFrame
    allowed: Inference
    units: Mapping[str, int]

    @cached_property
    def treated(self) -> np.ndarray:
        """(K,) bool."""
        return self.images["treated"].to_numpy() == 1

    @cached_property
    def means(self) -> MeanModel:
        """Of the images' means."""
        return mean_model(self.images, self.allowed.unit)

    def n(self, sizes: np.ndarray) -> dict[str, int]:
        """n at every level in both arms, with the images' numbers of cells (K,)."""
        arms = zip(_ARMS, (~self.treated, self.treated))
        return {**self.units, **{f"cells_{name}": int(sizes[arm].sum()) for name, arm in arms}}


@dataclass(frozen=True)
class Pair:
    """The images `chosen` (I,) bool of `sums`, of `treatment` and its control."""

    sums: ImageSums
    chosen: np.ndarray
    treatment: str
    settings: StatsSettings
    _designs: dict[bytes, Design] = field(default_factory=dict)

    def design(self, feature: str) -> Design:
        """That of the images which have the feature."""
        known = self.chosen & self.sums.known(feature)
        key = known.tobytes()
        if key not in self._designs:
            self._designs[key] = self._design(known)
        return self._designs[key]

    def _design(self, known: np.ndarray) -> Design:
        images = self.sums.images[known]
        allowed, kept = compared(
            images.assign(treated=(images["treatment"] == self.treatment).astype(int)), self.settings
        )
        arms = [(name, kept[kept["treated"] == arm]) for arm, name in enumerate(_ARMS)]
        units = {f"{level}s_{name}": told(part[level]).nunique() for name, part in arms for level in LEVELS}
        return Design(self.sums.images.index.get_indexer(kept.index), kept, allowed, units)

    def n(self, feature: str) -> dict[str, int]:
        """n at every level in both arms."""
        design = self.design(feature)
        return design.n(self.sums.values(feature, design.rows)["size"])

    def effects(self, kinds: Mapping[str, bool], control: str, timepoint: int | str) -> Iterator[dict]:
        """Rows of ``effects``, one a feature of `kinds`, which says whether it is a count."""
        for feature, count in kinds.items():
            design = self.design(feature)
            values = self.sums.values(feature, design.rows)
            missing = [name for name, arm in zip(_ARMS, (False, True)) if not (design.treated == arm).any()]
            if missing:
                fit = Fit(np.nan, np.nan, "", f"no values in the {' and '.join(missing)} cells")
            elif count:
                fit = fit_count(design.images.assign(**values), design.allowed.unit)
            else:
                fit = design.means.fit(values["value"])
            row: dict[str, Any] = {
                "feature": feature,
                "kind": "count" if count else "mean",
                "treatment": self.treatment,
                "control": control,
                "timepoint": timepoint,
                "measure": "rate ratio" if count else "difference",
            }
            row |= interval(fit, design.allowed, self.settings, np.exp if count else float)
            row |= dict.fromkeys(_STANDARDISED, np.nan) if count else _standardised(row, values, design.treated)
            row |= {
                "unit": design.allowed.unit,
                "df": min(design.allowed.df, fit.df),
                "model": fit.model,
                "note": fit.problem,
                "refusal": design.allowed.refusal,
            }
            yield row | design.n(values["size"])


def interval(
    fit: Fit, allowed: Inference, settings: StatsSettings, scale: Callable[[float], float]
) -> dict[str, float]:
    """Estimate, interval and p-value by Student's t; `scale` turns logarithms back into ratios."""
    df = min(allowed.df, fit.df)
    if not np.isfinite(fit.standard_error) or fit.standard_error <= 0 or df <= 0:
        return {"estimate": scale(fit.estimate), "ci_low": np.nan, "ci_high": np.nan, "p_value": np.nan}
    half = student.ppf((1 + settings.level) / 2, df) * fit.standard_error
    p = np.nan if allowed.refusal else 2 * student.sf(abs(fit.estimate / fit.standard_error), df)
    return {
        "estimate": scale(fit.estimate),
        "ci_low": scale(fit.estimate - half),
        "ci_high": scale(fit.estimate + half),
        "p_value": p,
    }


def _standardised(row: dict, values: Mapping[str, np.ndarray], treated: np.ndarray) -> dict[str, float]:
    """Cohen's d: the difference over the cells' standard deviation within treatments, pooled."""
    squares = freedom = 0.0
    for arm in (~treated, treated):
        total, size, scatter, value = (values[name][arm] for name in ("total", "size", "scatter", "value"))
        if not len(size):
            continue
        squares += scatter.sum() + (size * (value - total.sum() / size.sum()) ** 2).sum()
        freedom += size.sum() - 1
    spread = np.sqrt(squares / freedom) if freedom > 0 else 0
    some = len(treated) > 0 and spread > 1e-10 * np.abs(values["value"]).max()
    keys = ("estimate", "ci_low", "ci_high")
    return {name: row[key] / spread if some else np.nan for name, key in zip(_STANDARDISED, keys)}
