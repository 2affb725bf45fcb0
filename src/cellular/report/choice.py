"""Which fields a page shows, where it cannot show all: by rule, not by eye."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

# Fields that a page shows, and the seed of those that are drawn.
FIELDS_SHOWN, SEED = 10, 0


@dataclass(frozen=True)
class Choice:
    """Positions that are shown: `why` by name of the position, in the order shown, and a sentence for the page."""

    why: dict[str, str]
    words: str


def choose_fields(fields: pd.DataFrame, most: int = FIELDS_SHOWN, seed: int = SEED) -> Choice:
    """At most `most` positions: of every treatment one of median sharpness, then the worst and the median, then random.

    Parameters
    ----------
    fields : a row a field: ``position`` (fields of one position over time have one) and, where they are known,
        ``treatment``, ``flagged`` (bool) and ``sharpness`` (higher is better).
    most : positions. seed : of the random ones.

    >>> choose_fields(pd.DataFrame({"position": ["a", "b"]})).why
    {'a': 'all are shown', 'b': 'all are shown'}
    """
    rows = _positions(fields)
    if len(rows) <= most:
        words = f"All {len(rows)} positions are" if len(rows) > 1 else "The only position is"
        return Choice(dict.fromkeys(rows.index, "all are shown"), f"{words} on this page.")
    why: dict[str, str] = {}
    for treatment, group in rows.groupby("treatment", sort=True):
        why.setdefault(_median(group), f"of usual quality among {treatment}")
    why = dict(list(why.items())[:most])
    worst = rows.sort_values(["flagged", "sharpness"], ascending=[False, True], kind="stable").index[0]
    for name, reason in ((worst, "the worst quality"), (_median(rows), "the median quality")):
        if len(why) < most:
            why.setdefault(name, reason)
    for name in np.random.default_rng(seed).permutation(rows.index):
        if len(why) < most:
            why.setdefault(str(name), "drawn at random")
    words = (
        f"{len(why)} of {len(rows)} positions are on this page: one of median sharpness of each treatment, the worst "
        f"and the median of all, the rest drawn at random (seed {seed}). To see any other: cellular view."
    )
    return Choice(why, words)


def _positions(fields: pd.DataFrame) -> pd.DataFrame:
    """A row a position: its treatment ("" where it has none), whether any field is flagged, its median sharpness."""
    known = pd.DataFrame({"position": fields["position"]})
    known["treatment"] = fields["treatment"].fillna("").astype(str) if "treatment" in fields else ""
    known["flagged"] = fields["flagged"].astype(bool) if "flagged" in fields else False
    known["sharpness"] = fields["sharpness"].astype(float) if "sharpness" in fields else 0.0
    how = {"treatment": "first", "flagged": "max", "sharpness": "median"}
    return known.groupby("position", sort=True).agg(how)


def _median(rows: pd.DataFrame) -> str:
    """The position of middle sharpness; one that is not flagged, if there is any."""
    usual = rows[~rows["flagged"]] if (~rows["flagged"]).any() else rows
    ordered = usual.sort_values("sharpness", kind="stable").index
    return ordered[len(ordered) // 2]
