"""Fields that are left out of a comparison: who, why, and what is left at every level. Nothing is left out silently."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from cellular.autophagy.compare.design import told, well_word
from cellular.errors import InputError
from cellular.files import read_csv

FLAGGED = "flagged"


def read_exclusions(choice: Sequence[str], quality: pd.DataFrame | None) -> dict[str, str]:
    """What `--exclude` asks for: reason by field.

    Parameters
    ----------
    choice : "flagged", names of fields, or files: a table with the column ``field`` (and ``reason``), or text with a
        name a line. They add up.
    quality : the table with ``flagged`` and ``reasons``; None where there is none.

    Raises InputError where flags are asked for and there are none, and for a file that is neither.
    """
    left_out: dict[str, str] = {}
    for word in choice:
        if word == FLAGGED:
            if quality is None:
                raise InputError(
                    "--exclude flagged needs quality.csv beside the cells: run cellular quality or analyse"
                )
            odd = quality[is_flagged(quality)]
            left_out |= dict(zip(odd["field"].astype(str), odd["reasons"].fillna(FLAGGED)))
        elif Path(word).is_file():
            left_out |= _read_list(Path(word))
        else:
            left_out[word] = "named by --exclude"
    return left_out


def is_flagged(quality: pd.DataFrame) -> pd.Series:
    """(N,) bool: the fields that are flagged; one whose flag was taken out by hand is not.

    Raises InputError for a flag that is neither true nor false.
    """
    flags = quality["flagged"]
    strange = flags[flags.notna() & ~flags.isin([True, False])]
    if len(strange):
        raise InputError(f"Column 'flagged' of quality.csv holds '{strange.iloc[0]}'; flags are True or False")
    return flags.eq(True)


def _read_list(path: Path) -> dict[str, str]:
    if path.suffix.lower() == ".csv":
        table = read_csv(path, ("reason", "reasons"))
        if "field" not in table:
            raise InputError(f"{path} has no column 'field' to say what to leave out")
        why = next(
            (table[name] for name in ("reason", "reasons") if name in table), pd.Series(None, table.index, object)
        )
        return dict(zip(table["field"].astype(str), why.fillna(f"listed in {path.name}").astype(str)))
    lines = (line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines())
    return dict.fromkeys((line for line in lines if line), f"listed in {path.name}")


def ledger(left_out: dict[str, str], cells: pd.DataFrame, fields: Iterable[str]) -> pd.DataFrame:
    """The fields that are left out, a row each: ``field, reason, cells`` (how many are lost).

    `cells` has a row a cell with ``field``; `fields` are all that there are, those without cells included. Raises
    InputError for a name that is none of them: it would be left in without a word.
    """
    known = dict.fromkeys([*map(str, fields), *cells["field"].astype(str)])
    unknown = [name for name in left_out if name not in known]
    if unknown:
        raise InputError(
            f"--exclude {unknown[0]}: there is no such field or file; fields are such as {next(iter(known))}"
        )
    counts = cells["field"].astype(str).value_counts()
    rows = [(name, left_out[name], int(counts.get(name, 0))) for name in known if name in left_out]
    return pd.DataFrame(rows, columns=["field", "reason", "cells"]).astype({"field": object, "reason": object})


def with_places(excluded: pd.DataFrame, nested: pd.DataFrame, given: Sequence[str]) -> pd.DataFrame:
    """The ledger with where its fields were and what they were `given`, as far as `nested` cells say.

    Columns between ``field`` and ``reason``: ``replicate, plate, well``, and those of `given`.
    """
    about = [name for name in dict.fromkeys(("replicate", "plate", "well", *given)) if name in nested]
    told_of = nested.drop_duplicates("image").set_index("image")[about]
    told_of["plate"] = told(told_of["plate"])
    places = told_of.reindex(excluded["field"]).reset_index(drop=True)
    places["well"] = places["well"].str.rsplit("/", n=1).str[-1]
    places["plate"] = told(places["plate"])
    return pd.concat([excluded[["field"]], places, excluded[["reason", "cells"]]], axis=1)


def exclusion_note(excluded: pd.DataFrame, before: pd.DataFrame, after: pd.DataFrame) -> str:
    """A sentence: what was left out, and n `before` and `after` (nested cells): fields, cells, wells, replicates."""
    gone = int(excluded["cells"].sum())
    counts = []
    for name, level in (
        ("fields with cells", "image"),
        ("cells", None),
        (f"{well_word(before)}s", "well"),
        ("replicates", "replicate"),
    ):
        old, new = (len(table) if level is None else told(table[level]).nunique() for table in (before, after))
        counts.append(f"{name} {old:,} before, {new:,} after")
    return f"Left out: {len(excluded)} field(s) with {gone:,} cells (exclusions.csv says why). N: {'; '.join(counts)}"
