"""What the units of a design allow to conclude: over replicates, over the wells of one experiment, or nothing."""

from dataclasses import dataclass

import pandas as pd

from cellular.autophagy.compare.design import StatsSettings, in_order, told, well_word
from cellular.data.platemap import SAMPLE

_ALL_OF = {True: "both", False: "all"}


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


def inference(table: pd.DataFrame, settings: StatsSettings, *, paired: bool = False) -> Inference:
    """Decide what the rows of two treatments in `table` allow; or of four arms, of two factors.

    With treatments side by side in each biological replicate, their differences are the observations (df = R - 1); with
    each replicate under one treatment only, the replicates are (df = R - 2), unless `paired` asks for all arms in each.
    Below `min_replicates` of either kind, there is no p-value, and the interval says how far these wells (df = wells -
    arms) agree, no more; without known wells there is no interval either.
    """
    arms = table["treatment"].nunique()
    undated = table.loc[told(table["replicate"]).isna(), "image"].nunique()
    per_replicate = table.groupby("replicate")["treatment"].nunique()
    both = int((per_replicate == arms).sum())
    per_arm = table.groupby("treatment")["replicate"].nunique()
    if both >= settings.min_replicates and not undated:
        return Inference("replicate", both - 1)
    if not paired and both == 0 and per_arm.min() >= settings.min_replicates and not undated:
        return Inference("replicate", int(per_arm.sum()) - 2)
    unknown, well = table.loc[told(table["well"]).isna(), "image"], well_word(table)
    if len(unknown):
        problem = (
            f"{unknown.nunique()} image(s) show no well, and no sample (a dish, a coverslip), such as "
            f"{unknown.iloc[0]}, and images of one are not independent. Say which image is of which in a column 'well' "
            f"of images.csv, or '{SAMPLE}' of images.csv or the plate map"
        )
        return Inference("well", 0, f"no interval and no p-value: {problem}")
    shared = table.groupby("well")["treatment"].nunique()
    if (shared > 1).any():
        problem = f"{well} {shared.idxmax()} holds {_ALL_OF[arms == 2]} treatments, so {well}s cannot be compared"
        return Inference("well", 0, f"no interval and no p-value: {problem}")
    wells = table.groupby("treatment")["well"].nunique()
    df = int(wells.sum()) - arms if wells.min() >= 2 else 0
    names = in_order(table["replicate"])
    listed = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
    found = f"{len(names)} biological replicate{'s' * (len(names) > 1)} ({listed}), with "
    found += f"{_ALL_OF[arms == 2]} treatments in {both}"
    if undated:
        found = f"{undated} image(s) show no date: tell replicates apart in a column 'replicate', or by --replicate"
    number = " and ".join(f"{wells[treatment]} {treatment}" for treatment in in_order(wells.index))
    return Inference(
        "well",
        df,
        f"no p-value: {found}; {settings.min_replicates} biological replicates are needed. "
        f"{well.capitalize()}s of one experiment ({number} here) are technical replicates: "
        "they say how well this experiment was done, not whether the next one would agree",
    )
