"""Which wells had a lysosomal inhibitor, and which of its values means none: told, or refused."""

from dataclasses import dataclass

import pandas as pd

from cellular.autophagy.compare.design import StatsSettings, as_text, in_order, well_word
from cellular.errors import InputError

# How maps say that a well had no inhibitor; DMSO as the "inhibitor" is the vehicle of one.
_NONE = {
    "none",
    "no",
    "non",
    "without",
    "vehicle",
    "veh",
    "control",
    "ctrl",
    "untreated",
    "mock",
    "dmso",
    "0",
    "-",
    "–",
}
_NONE |= {"noinhibitor", "n/a", "na", "nan", "false"}


@dataclass(frozen=True)
class Arms:
    """The column of the inhibitor, its value in wells without (empty text: the field is empty), and the inhibitors."""

    column: str
    none: str
    inhibitors: tuple[str, ...]

    def of(self, table: pd.DataFrame) -> pd.Series:
        """The arm of every row as text; missing where it is not known."""
        arms = as_text(table[self.column])
        return arms.fillna("") if self.none == "" else arms

    def given(self, table: pd.DataFrame) -> pd.Series:
        """The inhibitor of every row; missing where there is none."""
        return self.of(table).where(lambda arms: arms != self.none)


def inhibitor_column(settings: StatsSettings) -> str:
    """The column of the inhibitor, where a table has it."""
    return settings.inhibitor or "inhibitor"


def find_arms(table: pd.DataFrame, settings: StatsSettings) -> Arms | None:
    """Which wells had an inhibitor; None where no treatment has wells of two kinds and no column was asked for.

    Parameters
    ----------
    table : nested (:func:`cellular.autophagy.compare.design.nest`).

    Raises InputError where it is not clear which level is 'no inhibitor', naming the levels and the option.
    """
    column = inhibitor_column(settings)
    if (column not in table and not settings.inhibitor) or column in (settings.treatment, settings.factor):
        return None
    texts = as_text(table[column])
    levels, empty = in_order(texts.dropna().unique()), bool(texts.isna().any())
    kinds = texts.fillna("").groupby(table["treatment"]).nunique()
    if kinds.max() < 2:
        if settings.inhibitor:
            raise InputError(f"No treatment has wells with and without '{column}': there is no flux to be had")
        return None
    listed = ", ".join(f"'{name}'" for name in levels) + (" and empty fields" if empty else "")
    if settings.no_inhibitor is not None:
        none = settings.no_inhibitor
        if none not in levels and not (none == "" and empty):
            raise InputError(f"--no_inhibitor {none}: column '{column}' holds {listed}")
    else:
        known = [name for name in levels if "".join(name.lower().split()).replace("_", "") in _NONE]
        if len(known) != 1:
            raise InputError(
                f"Which wells had no inhibitor? Column '{column}' holds {listed}; name one with --no_inhibitor"
                + (" ('' for empty fields)" if empty else "")
            )
        none = known[0]
    inhibitors = tuple(name for name in levels if name != none)
    if not inhibitors:
        raise InputError(f"Column '{column}' holds {listed}: no well had an inhibitor")
    return Arms(column, none, inhibitors)


def not_pooled(table: pd.DataFrame, arms: Arms) -> tuple[pd.DataFrame, str]:
    """The rows without inhibitor, and the sentence that says what became of the others."""
    here = arms.of(table)
    kept = table[(here == arms.none).to_numpy()]
    named, none = ", ".join(arms.inhibitors), arms.none or "an empty field"
    unknown, well = int(here.isna().sum()), well_word(table)
    return kept, (
        f"{well.capitalize()}s with and without inhibitor are never pooled: treatments are compared in {well}s without "
        f"('{none}': {len(kept)} cells); the {len(table) - len(kept) - unknown} cells with {named} are in the flux "
        "alone" + (f"; {unknown} cells whose '{arms.column}' is empty are in neither" if unknown else "")
    )
