"""States told by hand for verbs that take a table of cells and look at no label image."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cellular.autophagy.state.by_hand import BY_HAND, as_the_model_said, check_words, laid_over, states_of
from cellular.jobs.corrections import open_corrections
from cellular.tables import read_table

logger = logging.getLogger(__name__)


def cells_and_states(
    cells: str | Path, corrections: str | Path | None, known: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """The table of cells without states by hand, and these from `corrections`, each of one of these cells.

    Raises InputError for a state that is none of those `known` to the model, or a cell that is not as it was.
    """
    read = read_table(cells)
    table = as_the_model_said(read)
    if corrections is None:
        if BY_HAND in read:
            logger.warning("the states told by hand in %s are not kept: --corrections tells them again", cells)
        return table, None
    told = open_corrections(corrections).states()
    check_words(told, known)
    laid_over(table, told)
    return table, told


def truth_by_hand(cells: pd.DataFrame, corrections: str | Path) -> pd.DataFrame:
    """The cells whose state was told by hand, as a table of truth: ``field, label, state``."""
    laid = laid_over(cells, open_corrections(corrections).states())
    return laid.loc[laid[BY_HAND], ["field", "label", "state"]]


def told_by_hand(cells: pd.DataFrame, corrections: str | Path) -> pd.DataFrame:
    """`cells` with the states told by hand over those that stand in them."""
    told = open_corrections(corrections).states()
    if "state" in as_the_model_said(cells):
        check_words(told, states_of(cells))
    return laid_over(cells, told)
