"""Autophagic flux: what a lysosomal inhibitor makes pile up, treatment by treatment.

A count at one moment cannot tell more made from fewer removed. Where degradation is blocked, what is made stays: the
pool with a saturating inhibitor less the pool without is what would have been removed meanwhile (Klionsky et al.,
Autophagy 17, 1, 2021, the sections on turnover assays and on tandem reporters). A treatment changes flux where these
differences differ, an interaction of treatment and inhibitor; with inhibitor alone, treated against control tells
synthesis only.

With three or more times after the block, the slope of the pool is the flux J itself, and the pool before the block
over J the transition time in which it is turned over (Loos, du Toit & Hofmeyr, Autophagy 10, 2087, 2014; du Toit,
Hofmeyr, Gniadek & Loos, Autophagy 14, 1060, 2018).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cellular.autophagy.compare.design import StatsSettings, as_text, control_of, in_order, well_word
from cellular.autophagy.compare.effects import ALL, is_count
from cellular.autophagy.compare.factorial import Question, answer, arm_sums
from cellular.autophagy.compare.images import FACTOR, ImageSums, on_shared_plates, with_n
from cellular.autophagy.compare.inhibitor import Arms
from cellular.autophagy.compare.notes import some
from cellular.autophagy.compare.turnover import turnover
from cellular.errors import InputError
from cellular.files import as_numbers

YELLOW = "puncta_yellow"


@dataclass(frozen=True)
class Flux:
    """Result of :func:`compare_flux`.

    Attributes
    ----------
    table : a row per feature, treatment, inhibitor, timepoint, ``quantity`` ('flux', or 'difference of fluxes', the
        treatment's less the control's) and ``measure``.
    pools : mean of each ``feature, treatment, inhibitor, replicate``: images first, then replicates; and its n.
    turnover, courses : J and transition times by count and treatment, or why not, and the means over time that they
        rest on; empty without times.
    warnings : what keeps a number from being a flux; a sentence each.
    arms : who is without inhibitor.
    """

    table: pd.DataFrame
    pools: pd.DataFrame
    turnover: pd.DataFrame
    courses: pd.DataFrame
    warnings: tuple[str, ...]
    arms: Arms


def compare_flux(
    table: pd.DataFrame,
    arms: Arms,
    features: list[str],
    settings: StatsSettings,
    before: pd.DataFrame | None = None,
) -> Flux:
    """The flux of every treatment and its difference from the control's, feature by feature.

    Parameters
    ----------
    table : nested, wells with inhibitor included.
    features : columns to compare; ``puncta_yellow`` is added where there is one, since it tells whether the inhibitor
        works.
    before : the same table before fields were left out, to tell every n before and after.

    A single treatment has its flux, and no difference. Counts are compared twice: as difference of rates (puncta per
    cell that pile up: the flux proper), and as ratio of rates, whose ratio asks whether the pool grows by another
    factor. They may disagree: a treatment that doubles both pools doubles the difference and leaves the ratio as it
    was.
    """
    features = list(dict.fromkeys([*features, *([YELLOW] if YELLOW in table else [])]))
    dose = settings.dose if settings.dose in table and settings.dose != settings.factor else None
    if dose:
        table, before = (each if each is None else _without_zero(each, dose) for each in (table, before))
    table, of_doses = _at_shared_doses(table, arms, settings)
    before = None if before is None else _at_shared_doses(before, arms, settings)[0]
    named, control = _named(table, settings), control_of(table, settings, alone=True)
    pairs = [(treatment, control) for treatment in in_order(table["treatment"])]
    if settings.factor:
        levels = in_order(as_text(table[settings.factor]).dropna())
        pairs = [(f"{t}, {level}", f"{c}, {level}") for level in levels for t, c in pairs]

    def summed(part: pd.DataFrame) -> ImageSums:
        return arm_sums(part, features, {"treatment": _named(part, settings), "arm": arms.of(part)}, dose)

    sums, old = summed(table), None if before is None else summed(before)
    kinds = {name: is_count(name, table[name], settings) for name in features}
    there = sums.images.groupby("treatment")["arm"].agg(set)
    questions = [
        Question("arm", arms.none, inhibitor, "treatment", treatment, against)
        for inhibitor in arms.inhibitors
        for treatment, own_control in pairs
        for against in (None, own_control)
        if against != treatment and _hold(there, {treatment, against or treatment}, {arms.none, inhibitor})
    ]
    if not questions:
        raise InputError(f"No treatment has wells with and without {', '.join(arms.inhibitors)}: no flux")
    found = answer(sums, questions, kinds, settings, "flux", old)
    found = found.rename(columns={"low": "without", "high": "inhibitor", "at": "treatment", "against": "control"})
    found.insert(0, "quantity", np.where(found["control"].isna(), "flux", "difference of fluxes"))
    counts = [name for name in features if kinds[name]]
    warned = (
        *of_doses,
        *_of_own_plates(sums.images, questions),
        *_not_raised(found, settings),
        *_apart(table.assign(treatment=named), arms),
        *_alone(there, arms, well_word(table)),
    )
    timed, timed_before = (
        None if each is None else each.assign(treatment=_named(each, settings), arm=arms.of(each))
        for each in (table, before)
    )
    slopes, courses = turnover(timed, arms.none, counts, dict(pairs), settings, timed_before)
    return Flux(found.drop(columns=["within", "between"]), _pools(sums, old), slopes, courses, warned, arms)


def _named(table: pd.DataFrame, settings: StatsSettings) -> pd.Series:
    """Treatments, each level of the further factor as one of its own."""
    return table["treatment"] + ", " + as_text(table[settings.factor]) if settings.factor else table["treatment"]


def _without_zero(table: pd.DataFrame, dose: str) -> pd.DataFrame:
    """The cells with a dose of zero as an empty one: neither was given any."""
    return table.assign(**{dose: table[dose].mask(as_numbers(table[dose]) == 0)})


def _at_shared_doses(table: pd.DataFrame, arms: Arms, settings: StatsSettings) -> tuple[pd.DataFrame, list[str]]:
    """Cells of doses that a treatment had with and without inhibitor, where it had such in a replicate; what to say.

    Where the inhibitor was added to one dose of several, the pool without it is that of this dose.
    """
    if settings.dose not in table:
        return table, []
    named, doses, arm = _named(table, settings), as_text(table[settings.dose]).fillna("none"), arms.of(table)
    without, blocked = arm == arms.none, arm.isin(arms.inhibitors)
    keys = [named, table["replicate"]]
    both = (flags.groupby([*keys, doses], dropna=False).transform("any") for flags in (without, blocked))
    shared = pd.concat(both, axis=1).all(axis=1)
    some = shared.groupby(keys, dropna=False).transform("any")
    said = []
    for treatment in in_order(named[some & ~shared].dropna()):
        here = ", ".join(in_order(doses[shared & (named == treatment)]))
        said.append(f"Flux of {treatment} is that of {settings.dose} {here}, given with and without inhibitor")
    given = as_numbers(table[settings.dose]) > 0
    for treatment in in_order(named[~some & without & given].dropna()):
        had = [", ".join(in_order(doses[flags & ~some & (named == treatment)])) for flags in (without, blocked)]
        if had[1]:
            said.append(
                f"{treatment} had other doses without inhibitor ({had[0]}) than with ({had[1]}): both are in its flux"
            )
    return table[shared | ~some], said


def _of_own_plates(images: pd.DataFrame, questions: list[Question]) -> Iterator[str]:
    """Which plates are in no flux of a treatment, since they hold it with or without inhibitor alone."""
    left: dict[tuple[str, ...], list[str]] = {}
    for question in questions:
        if question.against is None:
            here = question.asked(images).drop(columns=FACTOR, errors="ignore")
            here = here[here.groupby("replicate")["treated"].transform("nunique") == 2]
            plates = here.loc[~on_shared_plates(here, here["treated"]), "plate"]
            if len(plates):
                left.setdefault((question.high, *in_order(plates)), []).append(question.at)
    for (inhibitor, *plates), treatments in left.items():
        yield (
            f"Flux of {', '.join(treatments)} with {inhibitor} is of the plates that hold both arms: what lies on "
            f"{some(plates)} is in the pools and in J alone"
        )


def _hold(there: pd.Series, treatments: set[str], arms: set[str]) -> bool:
    return all(arms <= there.get(treatment, set()) for treatment in treatments)


def _pools(sums: ImageSums, before: ImageSums | None) -> pd.DataFrame:
    keys = ["treatment", "arm", "replicate"]
    means = pd.DataFrame(sums.mean, columns=list(sums.features), index=pd.MultiIndex.from_frame(sums.images[keys]))
    long = (
        means.groupby(level=keys).mean().stack().dropna().rename("mean").rename_axis([*keys, "feature"]).reset_index()
    )
    long = with_n(long[["feature", *keys, "mean"]], sums, keys, before).rename(columns={"arm": "inhibitor"})
    return long.drop(columns=["replicates", "replicates_before"], errors="ignore")


def _not_raised(found: pd.DataFrame, settings: StatsSettings) -> Iterator[str]:
    """Inhibitors that do not raise yellow puncta for sure: their flux cannot be read, whatever it is."""
    rows = found[(found["feature"] == YELLOW) & (found["timepoint"] == ALL) & (found["quantity"] == "flux")]
    rows = rows[rows["measure"].isin(["difference of rates", "difference"])]
    if rows.empty:
        yield "Without counts of yellow puncta it cannot be told whether the inhibitor worked"
    for row in rows.itertuples():
        low, estimate = float(row.ci_low), float(row.estimate)
        if low > 0 or (np.isnan(low) and estimate > 0):
            continue
        interval = "" if np.isnan(low) else f", {settings.level:.0%} interval {low:.3g} to {float(row.ci_high):.3g}"
        yield (
            f"{row.inhibitor} does not raise yellow puncta in {row.treatment} beyond doubt ({estimate:+.3g} a cell"
            f"{interval}): either it did not block, or little is made there. Show that it saturates by a dose series "
            "of the inhibitor before reading this as a low flux"
        )


def _apart(table: pd.DataFrame, arms: Arms) -> Iterator[str]:
    """Replicates whose wells with and without inhibitor share no plate and day: these differ in more than it."""
    here = arms.of(table)
    plates = table["plate"].groupby([table["treatment"], table["replicate"], here]).agg(set)
    for inhibitor in arms.inhibitors:
        split = [
            replicate
            for (treatment, replicate, arm), without in plates.items()
            if arm == arms.none
            and (treatment, replicate, inhibitor) in plates.index
            and not without & plates[treatment, replicate, inhibitor]
        ]
        if split:
            yield (
                f"{well_word(table).capitalize()}s with and without {inhibitor} are of different plates or days in "
                f"replicate(s) {', '.join(dict.fromkeys(split))}: their staining and exposure go into the flux"
            )


def _alone(there: pd.Series, arms: Arms, word: str) -> Iterator[str]:
    """Treatments that have no flux, since an arm is missing."""
    lacking = [name for name, found in there.items() if not (arms.none in found and found & set(arms.inhibitors))]
    if lacking:
        yield f"No flux of {', '.join(in_order(lacking))}: {word}s both with and without inhibitor are needed"
