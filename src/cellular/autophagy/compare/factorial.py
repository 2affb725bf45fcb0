"""Two factors at once: the effect of one at each level of the other, and how far these effects differ.

With and without a lysosomal inhibitor in each treatment, the effect of the inhibitor is the flux and the difference of
two fluxes their interaction (:mod:`cellular.autophagy.compare.flux`). Treatments in two genotypes are the same design.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cellular.autophagy.compare.design import StatsSettings, as_text, in_order, told
from cellular.autophagy.compare.effects import ALL, Comparison, is_count, with_q_values
from cellular.autophagy.compare.images import FACTOR, ImageSums, beside_before, on_shared_plates, sum_images
from cellular.autophagy.compare.inference import Inference, inference
from cellular.autophagy.compare.models import Fit, fit_count, fit_count_interaction, fit_mean, fit_mean_interaction
from cellular.autophagy.compare.pairs import interval
from cellular.errors import InputError
from cellular.progress import progress

# What is estimated: of means a difference, of counts a difference of rates and a ratio of rates.
_MEASURES = {
    (False, False): ("difference", "difference of differences"),
    (True, False): ("difference of rates", "difference of differences of rates"),
    (True, True): ("ratio of rates", "ratio of ratios of rates"),
}


@dataclass(frozen=True)
class Question:
    """How far `high` is from `low` in column `within`, where column `between` is `at`; less the same at `against`.

    `against` None asks for the first alone.
    """

    within: str
    low: str
    high: str
    between: str
    at: str
    against: str | None = None

    def asked(self, images: pd.DataFrame) -> pd.DataFrame:
        """The images (rows) it is about, with ``treated`` and ``group`` (0 or 1)."""
        known = images[self.within].isin([self.low, self.high]) & images[self.between].isin([self.at, self.against])
        chosen = images[known]
        return chosen.assign(
            treated=(chosen[self.within] == self.high).astype(int), group=(chosen[self.between] == self.at).astype(int)
        )


def arm_sums(
    table: pd.DataFrame, features: list[str], factors: dict[str, pd.Series], within: str | None = None
) -> ImageSums:
    """Sums of the cells of each image and combination of `factors` (named text columns); cells that lack one go out.

    An image whose cells belong to several arms has a row for each. `within` is a column within whose levels arms are
    to be compared.
    """
    named = pd.DataFrame(factors, index=table.index)
    known = named.notna().all(axis=1)
    arms = named[known].groupby(list(factors), sort=True).ngroup()
    levels = named[known].groupby(arms.to_numpy()).first()
    sums = sum_images(table[known].assign(treatment=arms.astype(str)), features, within)
    looked_up = levels.loc[sums.images["treatment"].astype(int)].reset_index(drop=True)
    images = sums.images.drop(columns="treatment").assign(**{name: looked_up[name] for name in factors})
    return ImageSums(images, sums.features, sums.size, sums.total, sums.squares, sums.scatter)


def answer(
    sums: ImageSums,
    questions: list[Question],
    kinds: dict[str, bool],
    settings: StatsSettings,
    desc: str,
    before: ImageSums | None = None,
) -> pd.DataFrame:
    """A row per question, feature and measure, over all timepoints and at each; with q-values over features.

    Replicates that hold every arm of a question are compared within themselves; the others are left out of it. Columns:
    ``feature, kind, within, low, high, between, at, against, timepoint, measure, estimate, ci_low, ci_high, p_value,
    q_value, unit, df, model, note, refusal, replicates, replicates_left_out, wells, images, cells``,
    and with `before`, the sums before fields were left out, ``<n>_before`` of each n.
    """
    rows = [
        row
        for question in progress(questions, desc=desc, unit="contrast")
        for feature, count in kinds.items()
        for row in _rows(_known(sums, feature), question, (feature, count), settings, _known(before, feature))
    ]
    if not rows:
        raise InputError("No two arms to compare")
    return with_q_values(pd.DataFrame(rows), ["measure", "against_any"]).drop(columns="against_any")


def _known(sums: ImageSums | None, feature: str) -> pd.DataFrame | None:
    return None if sums is None else sums.of(feature)


def _rows(
    known: pd.DataFrame,
    question: Question,
    named: tuple[str, bool],
    settings: StatsSettings,
    before: pd.DataFrame | None,
) -> Iterator[dict]:
    feature, count = named
    images = question.asked(known)
    times = images.groupby("timepoint")[["treated", "group"]].nunique()
    full = times.index[(times["treated"] == 2) & (times["group"] == (1 if question.against is None else 2))]
    for timepoint in (ALL, *(full if len(times) > 1 else ())):
        complete, left_out, allowed = complete_replicates(_at(images, timepoint), question, settings)
        n = _n(complete, left_out)
        if before is not None:
            old = complete_replicates(_at(question.asked(before), timepoint), question, settings)
            n = beside_before(n, _n(*old[:2]))
        for ratio in (False, True) if count else (False,):
            fit = _fit(complete, question, ratio, allowed)
            yield {
                "feature": feature,
                "kind": "count" if count else "mean",
                **{name: getattr(question, name) for name in ("within", "low", "high", "between", "at", "against")},
                "against_any": question.against is not None,
                "timepoint": timepoint if timepoint == ALL else int(timepoint),
                "measure": _MEASURES[count, ratio][question.against is not None],
                **interval(fit, allowed, settings, np.exp if ratio else float),
                "unit": allowed.unit,
                "df": min(allowed.df, fit.df),
                "model": fit.model,
                "note": fit.problem,
                "refusal": allowed.refusal,
                **n,
            }


def _at(images: pd.DataFrame, timepoint: int | str) -> pd.DataFrame:
    return images if timepoint == ALL else images[images["timepoint"] == timepoint]


def _n(complete: pd.DataFrame, left_out: int) -> dict[str, int]:
    return {
        "replicates": told(complete["replicate"]).nunique(),
        "replicates_left_out": left_out,
        "wells": told(complete["well"]).nunique(),
        "images": len(complete),
        "cells": int(complete["size"].sum()),
    }


def complete_replicates(
    images: pd.DataFrame, question: Question, settings: StatsSettings
) -> tuple[pd.DataFrame, int, Inference]:
    """Images of the replicates that hold every arm (all images where none does), how many others, what they allow.

    Of a replicate with plates that hold every arm, the images on these.
    """
    wanted = 2 if question.against is None else 4
    levels = images["group"].map({1: str(question.at), 0: str(question.against)})
    arms = levels + ", " + images["treated"].map({0: str(question.low), 1: str(question.high)})
    per_replicate = arms.groupby(images["replicate"]).nunique()
    whole = per_replicate.index[per_replicate == wanted]
    complete = images[images["replicate"].isin(whole)] if len(whole) else images
    if arms.nunique() < wanted:
        return complete, 0, Inference("well", 0)
    if wanted == 4:  # levels of a factor are those of one arm or the other
        complete = complete[on_shared_plates(complete.drop(columns=FACTOR, errors="ignore"), arms[complete.index])]
    else:
        complete = complete[on_shared_plates(complete, arms[complete.index])]
    allowed = inference(complete.assign(treatment=arms[complete.index]), settings, paired=True)
    return complete, len(per_replicate) - len(complete["replicate"].unique()), allowed


def _fit(images: pd.DataFrame, question: Question, ratio: bool, allowed: Inference) -> Fit:
    fits: dict[tuple[bool, bool], Callable[[pd.DataFrame, str], Fit]] = {
        (False, False): fit_mean,
        (False, True): fit_mean_interaction,
        (True, False): fit_count,
        (True, True): fit_count_interaction,
    }
    wanted = [(t, 1) for t in (0, 1)] + ([(t, 0) for t in (0, 1)] if question.against is not None else [])
    there = set(zip(images["treated"], images["group"]))
    missing = [arm for arm in wanted if arm not in there]
    if missing:
        treated, group = missing[0]
        level = question.at if group else question.against
        return Fit(np.nan, np.nan, "", f"no values of {level} with {(question.low, question.high)[treated]}")
    return fits[ratio, question.against is not None](images, allowed.unit)


def compare_factor(result: Comparison, settings: StatsSettings) -> pd.DataFrame:
    """Every treatment against the control at each level of ``settings.factor``, and against its first level.

    A row with ``against`` is the interaction: the effect at level ``at`` less the effect at level ``against``. The
    first level is one that is called wild type or control, else the first by name. Columns as in :func:`answer`.
    Raises InputError where no factor is named, the column has a single level or divides no treatment.
    """
    factor = settings.factor
    if factor is None:
        raise InputError("No factor is named: give its column with --factor")
    levels = in_order(as_text(result.cells[factor]).dropna())
    if not 2 <= len(levels) <= 12:
        raise InputError(f"--factor {factor} has {len(levels)} level(s); a factor has 2 to 12")
    levels.sort(key=lambda name: name.lower().replace("-", "").replace(" ", "") not in _REFERENCES)
    features = list(result.features)

    def summed(table: pd.DataFrame) -> ImageSums:
        return arm_sums(table, features, {name: as_text(table[name]) for name in ("treatment", factor)})

    old = result.cells_before
    kinds = {name: is_count(name, result.cells[name], settings) for name in features}
    questions = [
        Question("treatment", result.control, treatment, factor, level, against)
        for treatment in in_order(set(result.cells["treatment"]) - {result.control})
        for level in levels
        for against in (None, *(levels[:1] if level != levels[0] else ()))
    ]
    before = None if old is None else summed(old)
    return answer(summed(result.cells), questions, kinds, settings, f"by {factor}", before)


_REFERENCES = ("wt", "wildtype", "control", "ctrl", "parental", "none", "scramble", "sictrl", "sint", "shctrl")
