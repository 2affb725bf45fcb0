"""States told by hand in a table of cells: over those that a model told, which stay beside them."""

from collections.abc import Iterable
from typing import NoReturn

import numpy as np
import pandas as pd

from cellular.autophagy.state.probabilities import check_probabilities
from cellular.autophagy.state.words import ACTIVATED, BASAL, UNIDENTIFIED
from cellular.errors import InputError
from cellular.labels.regions import Regions

BY_HAND, MODEL = "state_by_hand", "_model"
_PROBABILITY = "probability_"
# By the treatment people know them from, too.
_KNOWN_AS = {BASAL: "Basal (fed)", ACTIVATED: "Activated (unfed)"}
# What says that a row is the cell whose state was told: its place, px, as far as a text file keeps it.
PLACE, NEAR = ("area", "y", "x"), 0.01


def as_the_model_said(cells: pd.DataFrame) -> pd.DataFrame:
    """`cells` without what :func:`overlaid` did to them."""
    if BY_HAND not in cells:
        return cells
    kept = {name.removesuffix(MODEL): cells[name] for name in cells if _is_of_model(name)}
    none = ["state"] if f"state{MODEL}" not in cells else []
    return cells.assign(**kept).drop(columns=[BY_HAND, *none, *(name for name in cells if _is_of_model(name))])


def overlaid(cells: pd.DataFrame, words: pd.Series) -> pd.DataFrame:
    """`cells` as a model told them, with the states `words`, in the same index; missing where none was told by hand.

    ``state_by_hand`` says where one was. What the model said moves to ``state_model`` and
    ``probability_<positive>_model``; the probability of what was told by hand is 1 or 0, and missing for Unidentified.

    >>> cells = pd.DataFrame({"label": [1, 2], "state": "basal", "probability_activated": [0.1, 0.2]})
    >>> told = overlaid(cells, pd.Series([None, "activated"]))
    >>> told["state"].tolist(), told["probability_activated"].tolist(), told["state_by_hand"].tolist()
    (['basal', 'activated'], [0.1, 1.0], [False, True])
    >>> as_the_model_said(told).equals(cells)
    True
    """
    by_hand = words.notna()
    new: dict[str, pd.Series] = {"state": words.astype(object)}
    if "state" in cells:
        new = {"state": new["state"].where(by_hand, cells["state"]), f"state{MODEL}": cells["state"]}
    for name in [name for name in cells if name.startswith(_PROBABILITY) and "state" in cells]:
        sure = words.eq(name.removeprefix(_PROBABILITY)).astype(float).mask(words == UNIDENTIFIED)
        new |= {name: cells[name].mask(by_hand, sure), f"{name}{MODEL}": cells[name]}
    return cells.assign(**new, **{BY_HAND: by_hand})


def with_states(cells: pd.DataFrame, told: pd.DataFrame) -> pd.DataFrame:
    """`cells` with the states of `told` (``field, label, state, area, y, x``), as :func:`overlaid`.

    A state is told of the cell that has its field, number, area and place: where another cell has the number now, it is
    left out (:func:`not_there` tells). Those of an earlier time are taken back first. Raises InputError for a table
    without these columns.
    """
    keys = ["field", "label"]
    if missing := [name for name in (*keys, *PLACE) if name not in cells]:
        raise InputError(
            f"the table of cells lacks {', '.join(missing)}: nothing says which cells' states were told by hand; give "
            "the cells.csv of cellular measure or analyse"
        )
    cells = as_the_model_said(cells)
    found = cells[keys].merge(told[[*keys, "state", *PLACE]], "left", keys).set_axis(cells.index)
    return overlaid(cells, found["state"].where(same_place(cells, found)))


def as_measured(cells: pd.DataFrame, labels: np.ndarray) -> pd.DataFrame:
    """The rows of one field's `cells` that are of cells as they are in `labels` (Y, X).

    An outline that was reshaped keeps its number, and what was measured of it before is not its own.
    """
    regions = Regions.of(labels)
    y, x = (regions.mean(axis) for axis in np.divmod(regions.pixels, labels.shape[1]))
    now = pd.DataFrame({"label": regions.labels, "area": regions.area, "y": y, "x": x}).set_index("label")
    now = now.reindex(cells["label"]).set_axis(cells.index)
    return cells[same_place(cells, now)]


def all_measured(cells: pd.DataFrame, labels: np.ndarray) -> bool:
    """Whether one field's `cells` are those of `labels` (Y, X), every one as it is there."""
    return len(cells) == len(as_measured(cells, labels)) == np.count_nonzero(np.unique(labels))


def check_measured(field: str, cells: pd.DataFrame, labels: np.ndarray) -> None:
    """Raise InputError where a row of the field's `cells` was measured on no cell of `labels` (Y, X).

    Area and centroid tell, where a table has them as `measure` writes them; another one is taken by its numbers.
    """
    if not {"label", *PLACE} <= set(cells):
        return
    others = set(cells["label"]) - set(as_measured(cells, labels)["label"])
    if others:
        _raise_others(field, min(others))


def check_tracked(tracks: pd.DataFrame, cells: pd.DataFrame) -> None:
    """Raise InputError where a row of `cells` is of no cell of `tracks`, which hold all cells of their fields.

    As :func:`check_measured`; `tracks` tell each cell's place, too.
    """
    if not set(PLACE) <= set(cells):
        return
    keys = ["field", "label"]
    here = cells.loc[cells["field"].isin(tracks["field"].unique()), [*keys, *PLACE]]
    both = here.merge(tracks[[*keys, *PLACE]], "left", keys, suffixes=("", "_now"))
    others = both[~same_place(both, both[[f"{name}_now" for name in PLACE]].set_axis(PLACE, axis=1))]
    if len(others):
        _raise_others(*others[keys].iloc[0])


def _raise_others(field: str, label: int) -> NoReturn:
    """Say that a cell's row was measured on another outline than that which is there."""
    raise InputError(
        f"the table of cells was measured on other outlines than these, such as that of cell {label} of {field}: give "
        "the label images that it was measured on (corrected ones lie in corrections/), or measure again"
    )


def same_place(cells: pd.DataFrame, others: pd.DataFrame) -> pd.Series:
    """Whether each of `cells` is, by :data:`PLACE`, the cell in the same row of `others`."""
    same = cells["area"] == others["area"]
    for name in PLACE[1:]:
        same &= (cells[name] - others[name]).abs() <= NEAR
    return same


def not_there(cells: pd.DataFrame, told: pd.DataFrame) -> dict[str, str]:
    """By field, the states of `told` that :func:`with_states` could not tell of any of `cells`, in a sentence."""
    keys = ["field", "label"]
    own = cells.loc[cells[BY_HAND].eq(True), keys] if BY_HAND in cells else cells.loc[[], keys]
    found = told[keys].merge(own.assign(there=True), "left", keys)["there"].notna().to_numpy()
    return {
        str(
            field
        ): f"the state told by hand of cell {', '.join(map(str, rows['label']))} is left out: no cell is as it "
        "was when that was told"
        for field, rows in told[~found].groupby("field")
    }


def laid_over(cells: pd.DataFrame, told: pd.DataFrame) -> pd.DataFrame:
    """`cells`, all there are, with the states of `told`, as :func:`with_states`; of fields that are not there none.

    Raises InputError where no field is there, or a cell is not as it was when its state was told.
    """
    told = told[told["field"].isin(cells["field"].unique())]
    if told.empty:
        raise InputError("no state was told by hand in any field of the table of cells")
    laid = with_states(cells, told)
    if lost := not_there(laid, told):
        field, why = next(iter(lost.items()))
        raise InputError(f"{field}: {why}. Measure with these corrections first, or take it back in `cellular view`")
    return laid


def check_words(told: pd.DataFrame, known: Iterable[str]) -> None:
    """Raise InputError where a state was told by hand that is none of those `known` to the model."""
    known = set(known) - {UNIDENTIFIED}
    strange = told[~told["state"].isin([*known, UNIDENTIFIED])]
    if len(strange):
        one = strange.iloc[0]
        raise InputError(
            f"{one['field']}, cell {one['label']}: '{one['state']}' was told by hand, and the model tells "
            f"{' and '.join(sorted(known))}; take it back in `cellular view`, or give other corrections"
        )


def states_of(cells: pd.DataFrame | None) -> tuple[str, str]:
    """The two states that a table's model tells apart, the positive one last; basal and activated without a model."""
    if cells is not None and "state" in cells:
        cells = as_the_model_said(cells)
        names = [str(name) for name in cells if name.startswith(_PROBABILITY)]
        positive = names[0].removeprefix(_PROBABILITY) if names else ACTIVATED
        others = sorted(set(cells["state"].dropna().astype(str)) - {positive, UNIDENTIFIED}) if "state" in cells else []
        if positive != ACTIVATED and others:
            return others[0], positive
    return BASAL, ACTIVATED


def probability_column(cells: pd.DataFrame) -> str | None:
    """The column of how probable the positive state is, told by hand or by a model; None for a table without states.

    Raises InputError where it holds what is no probability.
    """
    name = _PROBABILITY + states_of(cells)[1]
    if not {"state", name} <= set(cells):
        return None
    check_probabilities(cells[name])
    return name


def choices_of(cells: pd.DataFrame | None) -> dict[str, str | None]:
    """What can be told by hand of the cells of a run, as people read it, and the state that it is; None takes it back.

    >>> list(choices_of(None).items())[1:]
    [('Activated (unfed)', 'activated'), ('Unidentified', 'Unidentified'), ('As the model said', None)]
    """
    known = {_KNOWN_AS.get(state, state): state for state in states_of(cells)}
    return {**known, UNIDENTIFIED: UNIDENTIFIED, "As the model said": None}


def by_hand_note(cells: pd.DataFrame) -> str:
    """How many states were told by hand, and what that means for a comparison; empty where none was."""
    if BY_HAND not in cells or not cells[BY_HAND].any():
        return ""
    groups = cells.groupby("treatment", observed=True)[BY_HAND] if "treatment" in cells else None
    counts = {} if groups is None else groups.sum().astype(int).to_dict()
    of = f" ({', '.join(f'{name}: {n}' for name, n in counts.items())})" if counts else ""
    return (
        f"{int(cells[BY_HAND].sum())} of {len(cells)} states were told by hand{of}, and count as certain. Whoever did "
        "may have known the treatment, and chose the cells: state_model and probability_..._model are the model's own"
    )


def _is_of_model(name: str) -> bool:
    return name == f"state{MODEL}" or (name.startswith(_PROBABILITY) and name.endswith(MODEL))
