"""What is taken for granted of a table of cells, in sentences, and columns that only look like measurements."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cellular.autophagy.compare.design import StatsSettings, as_text, in_order, rows_of, told, well_word
from cellular.autophagy.compare.images import FACTOR, compared, on_shared_plates, parts_of
from cellular.autophagy.compare.inhibitor import inhibitor_column
from cellular.data.platemap import look_alike
from cellular.errors import InputError
from cellular.files import as_numbers, of_words

# Numbers in another spelling: 1,234.5, 0,5, <3, 1 234
_NEARLY = re.compile(r"[<>~≤≥]?\s*[-+]?\d[\d.,'\s\xa0]*(?:[eE][-+]?\d+)?\s*%?")


def taken_for_granted(table: pd.DataFrame, given: int, treated: int, settings: StatsSettings) -> Iterator[str]:
    """What was taken for granted, a sentence each."""
    if settings.replicate is None:
        dates = in_order(told(table["replicate"]).dropna())
        if dates:
            listed = ", ".join(dates[:6]) + (", ..." if len(dates) > 6 else "")
            yield f"Each date is taken as one biological replicate, however many plates it has ({listed}); " + (
                "--replicate names another column"
            )
        began = table.loc[table["date"].notna() & (table["date"] != table["replicate"]), ["date", "replicate"]]
        for first, days in began.groupby("replicate")["date"].unique().items():
            yield (
                f"Images of {first} go on to {', '.join(sorted(days)[:6])}, each a site or timepoint of the same "
                f"{well_word(table)}s: they are one replicate; --replicate date takes every date for one"
            )
    if table["treatment"].nunique() < 2:
        yield f"There is one treatment, '{table['treatment'].iloc[0]}': its flux stands alone, without a difference"
    elif settings.factor:
        yield f"Effects are averages over '{settings.factor}'; those at each of its levels stand apart"
    column = inhibitor_column(settings)
    if column in table and column not in (settings.treatment, settings.factor):
        levels = as_text(table[column]).fillna("empty").groupby(table["treatment"])
        had = {str(name): " and ".join(in_order(part)) for name, part in levels}
        if len(set(had.values())) > 1:
            listed = ", ".join(f"'{name}' {had[name]}" for name in in_order(had))
            yield f"Treatments differ in '{column}' too ({listed}): what is told of one is of both"
    yield from look_alike(settings.treatment, in_order(table["treatment"]))
    for name in (name for name in table if of_words(table[name])):
        if (word := stray_word(table[name])) is not None:
            yield f"Column '{name}' is not compared: '{word}' in it is no number"
    if treated < given:
        yield f"{given - treated} of {given} cells have no treatment and are left out"


def check_agree(cells: pd.DataFrame, images: pd.DataFrame, settings: StatsSettings) -> None:
    """InputError where the tables of cells and of images tell different things of what a field's well was given.

    A table of images that was mended would be read for what cells have not, and for nothing else.
    """
    given = (settings.treatment, settings.replicate, inhibitor_column(settings), settings.factor)
    both = [name for name in (*given, settings.dose, settings.time) if name and name in cells and name in images]
    if not (both and len(cells) and "field" in cells and "field" in images):
        return
    first = cells[["field", *both]].drop_duplicates("field").dropna(subset="field")
    told_of = rows_of(pd.Index(first["field"].astype(str)), images)
    for name in both:
        here, there = as_text(first[name]).set_axis(told_of.index), as_text(told_of[name])
        same = (here == there) | (as_numbers(here) == as_numbers(there))
        differ = here.notna() & there.notna() & ~same
        if differ.any():
            field = differ.index[differ][0]
            raise InputError(
                f"'{name}' of field {field} is '{here[field]}' in the table of cells and '{there[field]}' in that of "
                "images: mend the plate map and run measure or analyse again, or take the column out of one of them"
            )


def not_side_by_side(
    images: pd.DataFrame, pairs: Sequence[tuple[str, Any, np.ndarray]], control: str, settings: StatsSettings
) -> Iterator[str]:
    """Which replicates and plates of `pairs` (treatment, timepoint, rows of `images`) are not compared."""
    for treatment, _, chosen in pairs:
        both = images[chosen]
        left = set(both["replicate"]) - set(compared(both, settings)[1]["replicate"])
        if left:
            yield (
                f"Replicate(s) {', '.join(in_order(left))} hold one of '{treatment}' and its control alone: their "
                "comparison is without these, since others hold both side by side"
            )
    yield from _of_own_plates(images, pairs, control)


def _of_own_plates(images: pd.DataFrame, pairs: Iterable[tuple[str, Any, np.ndarray]], control: str) -> Iterator[str]:
    """Treatments that are not on all plates (and levels of a factor) of their control, as :func:`not_side_by_side`."""
    own, left, used, apart = list[str](), set[str](), set[str](), dict[tuple[str, ...], list[str]]()
    many = "plates and levels" if FACTOR in images else "plates"
    named = images["plate"] + ", " + images[FACTOR] if FACTOR in images else images["plate"]
    for treatment, _, chosen in pairs:
        both = images[chosen]
        known = both[told(named[chosen]).notna() & (both.groupby("replicate")["treatment"].transform("nunique") == 2)]
        kept = on_shared_plates(known, known["treatment"])
        used |= set(named[known.index[kept]])
        if not kept.all():
            own, left = [*own, f"'{treatment}'"], left | set(named[known.index[~kept]])
        coarser: set[str] = set()  # replicates that share no plate share no level of one
        for part, parts in zip(("plate", "level of a plate"), parts_of(known)):
            arms = known.groupby(["replicate", parts])["treatment"].nunique().groupby(level="replicate").max()
            if lacking := tuple(name for name in arms.index[arms < 2] if name not in coarser):
                apart.setdefault((part, *lacking), []).append(f"'{treatment}'")
            coarser |= set(lacking)
    if own:
        several = len(own) > 1
        unused = f" ({'of all: ' * several}{some(in_order(left - used))})" if left - used else ""
        yield (
            f"{'each of ' * several}{some(own)} is compared with '{control}' of its own {many}: what lies on those "
            f"that hold one of the two alone is left out{unused}; figures and means over time show it"
        )
    for (part, *replicates), names in apart.items():
        yield (
            f"{some(names)} shares no {part} with '{control}' in replicate(s) {some(replicates)}: what "
            f"{part.split()[0]}s differ by is in the comparison"
        )


def some(names: Sequence[str], most: int = 6) -> str:
    """The first of the names, and how many there are where they are more."""
    return ", ".join(names[:most]) + (f", ... ({len(names)})" if len(names) > most else "")


def stray_word(values: pd.Series) -> str | None:
    """What keeps a column that is mostly of numbers, or looks so, from being one; None for a column of words."""
    known = pd.Series(pd.unique(values.dropna())).astype(str)
    words = known[as_numbers(known).isna()]
    numbers = len(known) - len(words) + words.str.fullmatch(_NEARLY).sum()
    return words.iloc[0] if len(words) and 2 * numbers > len(known) > 2 else None


def shares(table: pd.DataFrame, features: Sequence[str]) -> pd.DataFrame:
    """What is true or false of a cell as 1 and 0, whose means are shares."""
    flags = [
        name
        for name in features
        if name in table and table[name].dropna().map(lambda value: isinstance(value, bool)).all()
    ]
    if not flags:  # to assign is to copy, and cells may be millions
        return table
    return table.assign(**{name: table[name].astype(float) for name in flags})
