"""Who is nested in whom: cells in images of positions in wells on plates in biological replicates.

Cells of one well share its pipetting, its edge of the plate and its day. Taking each as an independent observation
makes p-values that are too small by orders of magnitude (Lazic, BMC Neurosci 11, 5, 2010; Lord et al., J Cell Biol 219,
e202001064, 2020), so every function here counts the units of each level and names the one a conclusion may rest on.
"""

from dataclasses import dataclass

import pandas as pd

from cellular.data.fields import parse_field
from cellular.errors import InputError, SettingsError

# Coarse to fine. `position` is one site of one well; `image` is one timepoint of it.
LEVELS = ("replicate", "plate", "well", "position", "image")


@dataclass(frozen=True)
class StatsSettings:
    """What is compared with what.

    Attributes
    ----------
    treatment : column that says how a cell was treated.
    control : the treatment that others are compared with; None takes 'fed' where there is one.
    replicate : column that tells biological replicates apart; None takes each date and plate code as one.
    features : columns to compare; empty takes every measured number.
    counts : columns that are counts, on top of those recognised by their name.
    min_replicates : fewest biological replicates of each treatment for a p-value.
    level : 0..1, coverage of intervals.
    """

    treatment: str = "treatment"
    control: str | None = None
    replicate: str | None = None
    features: tuple[str, ...] = ()
    counts: tuple[str, ...] = ()
    min_replicates: int = 3
    level: float = 0.95

    def __post_init__(self) -> None:
        if self.min_replicates < 2:
            raise SettingsError(f"min_replicates must be 2 or more, got {self.min_replicates}")
        if not 0 < self.level < 1:
            raise SettingsError(f"level must lie between 0 and 1, got {self.level}")


def nest(cells: pd.DataFrame, settings: StatsSettings, images: pd.DataFrame | None = None) -> pd.DataFrame:
    """The cells with one column per level of :data:`LEVELS`, ``treatment`` and ``timepoint``.

    Parameters
    ----------
    cells : one row a cell, with ``field``; ``plate, well, site, timepoint`` and the treatment are taken from here, else
        from `images` by ``field``, else read from the field's name.
    images : one row a field (``images.csv`` of ``cellular measure``).

    Cells without a treatment are left out. Raises InputError where nothing is left, where a well had two treatments
    at once in one name, or where a replicate column divides a well (such replicates would be pieces of one experiment).
    """
    if "field" not in cells:
        raise InputError("The table of cells has no column 'field'")
    described = _describe(cells["field"], images, settings)
    own = [name for name in described if name not in cells or name == "field"]
    table = cells.reset_index(drop=True).merge(described[own], on="field", how="left", validate="many_to_one")
    for name in (settings.treatment, settings.replicate):
        if name and name not in table:
            raise InputError(f"No column '{name}' in the cells, the images or the field names")
    table["treatment"] = table[settings.treatment]
    table = table[table["treatment"].notna()].copy()
    if table.empty:
        raise InputError(
            f"No cell has a value in column '{settings.treatment}': field names outside the dataset's grammar carry no "
            "treatment; add a column to images.csv and name it with --treatment"
        )
    experiment = table["date"].astype("string").fillna("") + "-" + table["plate"].astype("string").fillna("")
    table["replicate"] = table[settings.replicate].astype(str) if settings.replicate else experiment
    table["plate"] = experiment
    table["well"] = table["plate"] + "/" + table["well"].astype("string").fillna("?")
    table["position"] = table["well"] + "/" + table["site"].astype("string").fillna("?")
    table["image"] = table["field"]
    table["timepoint"] = pd.to_numeric(table["timepoint"]).fillna(1).astype(int)
    divided = table.groupby("well")["replicate"].nunique()
    if (divided > 1).any():
        raise InputError(
            f"Column '{settings.replicate}' divides well {divided.idxmax()}: pieces of one well are not replicates"
        )
    return table


def _describe(fields: pd.Series, images: pd.DataFrame | None, settings: StatsSettings) -> pd.DataFrame:
    """What is known of each field: from its name, overruled by the table of images."""
    rows = []
    for name in fields.unique():
        parts = parse_field(str(name))
        rows.append(
            {
                "field": name,
                "date": parts.date,
                "plate": parts.plate,
                "well": parts.well or str(name),
                "site": parts.site,
                "timepoint": parts.timepoint,
                "treatment": parts.treatment,
            }
        )
    named = pd.DataFrame(rows)
    if images is None:
        return named
    if "field" not in images or images["field"].duplicated().any():
        raise InputError("The table of images needs one row per field, named in column 'field'")
    joined = named.merge(images, on="field", how="left", suffixes=("_named", ""))
    for column in named.columns.drop("field"):
        if f"{column}_named" in joined:
            joined[column] = joined[column].where(joined[column].notna(), joined.pop(f"{column}_named"))
    return joined


def control_of(table: pd.DataFrame, settings: StatsSettings) -> str:
    """The control treatment; raises InputError naming the choices where it is not clear or not there."""
    treatments = sorted(table["treatment"].astype(str).unique())
    control = settings.control or ("fed" if "fed" in treatments else None)
    if control is None or control not in treatments:
        raise InputError(f"Which treatment is the control? Name it with --control; there are: {', '.join(treatments)}")
    if len(treatments) < 2:
        raise InputError(f"Only one treatment, '{treatments[0]}': nothing to compare")
    return control


def count_units(table: pd.DataFrame) -> pd.DataFrame:
    """n at every level: one row per treatment, columns ``replicates, plates, wells, positions, images, cells``."""
    counts = table.groupby("treatment")[list(LEVELS)].nunique().add_suffix("s")
    return counts.assign(cells=table.groupby("treatment").size()).reset_index()


@dataclass(frozen=True)
class Inference:
    """What may be concluded from a comparison of two treatments.

    Attributes
    ----------
    unit : level whose units are taken as independent, ``"replicate"`` or ``"well"``.
    df : degrees of freedom of Student's t for the interval and the p-value; 0 where there is no interval.
    refusal : why there is no p-value, in words for the reader; empty where there is one.
    """

    unit: str
    df: int
    refusal: str = ""


def inference(table: pd.DataFrame, settings: StatsSettings) -> Inference:
    """Decide what the rows of two treatments in `table` allow.

    With treatments side by side in each biological replicate, their differences are the observations (df = R - 1); with
    each replicate under one treatment only, the replicates are (df = R - 2). Below `min_replicates` of either kind,
    there is no p-value, and the interval says how far these wells (df = wells - 2) agree, no more.
    """
    per_replicate = table.groupby("replicate")["treatment"].nunique()
    both = int((per_replicate == 2).sum())
    per_arm = table.groupby("treatment")["replicate"].nunique()
    if both >= settings.min_replicates:
        return Inference("replicate", both - 1)
    if both == 0 and per_arm.min() >= settings.min_replicates:
        return Inference("replicate", int(per_arm.sum()) - 2)
    wells = table.groupby("treatment")["well"].nunique()
    df = int(wells.sum()) - 2 if wells.min() >= 2 else 0
    names = sorted(table["replicate"].unique())
    found = "1 biological replicate" if len(names) == 1 else f"{len(names)} biological replicates"
    number = " and ".join(f"{n} {treatment}" for treatment, n in wells.items())
    listed = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
    return Inference(
        "well",
        df,
        f"no p-value: {found} ({listed}), with both treatments in {both}; {settings.min_replicates} are needed. "
        f"Wells of one experiment ({number} here) are technical replicates: "
        "they say how well this experiment was done, not whether the next one would agree",
    )
