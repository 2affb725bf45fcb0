"""Whole plates whose truth is known, from tables of fields and cells to flags, flux and EC50: how often all is right.

    python recipes/plate_seeds.py [--plates 20] [--nulls 100] [--seed 0]

A plate a replicate: DMSO and EBSS with and without bafilomycin, rapamycin at four doses, two sites a well, some 80
cells a field. Two fields of every experiment are spoilt, one out of focus and one saturated, in quality as in their
counts; the flags have to find them. Puncta scatter as in ``flux_power.py``. Prints, for 3, 4 and 6 replicates: what
was flagged; how often 95 % intervals hold the truth and p < 0.05, with flagged fields in and out; EC50; and the same
where EBSS does nothing.
"""

import argparse
from collections import Counter, defaultdict

import numpy as np
import pandas as pd
from flux_power import SIZE, factor

from cellular.autophagy.compare.design import StatsSettings
from cellular.autophagy.compare.doses import compare_doses
from cellular.autophagy.compare.effects import ALL, compare
from cellular.autophagy.compare.flux import YELLOW, compare_flux
from cellular.autophagy.quality.flags import flag_fields

RED = "puncta_red_only"
# Yellow and red-only puncta of a cell of full size, by well.
ARMS = {
    "A01": ("DMSO", "none", None, 6, 8),
    "A02": ("EBSS", "none", None, 9, 22),
    "B01": ("DMSO", "BafA1", None, 22, 2),
    "B02": ("EBSS", "BafA1", None, 38, 3),
}
EC50, SLOPE, ZERO, PLATEAU = 60.0, 1.2, 8.0, 22.0
DOSES = {"C01": 10.0, "C02": 50.0, "C03": 250.0, "C04": 1000.0}
CELLS, SITES, CHANNELS = 80, 2, ("mRFP", "EGFP")
# What a field of a usual plate measures, and the standard deviation of its logarithm (of the slope: of itself).
USUAL = {
    "signal": (2000, 0.15),
    "background": (260, 0.01),
    "background_range": (10, 0.3),
    "noise": (12, 0.03),
    "sharpness": (0.3, 0.12),
    "saturated": (1e-5, 0.5),
    "debris": (1e-4, 0.5),
}
POWER_SLOPE = (-1.6, 0.08)
SETTINGS = StatsSettings(control="DMSO", replicate="batch", features=(YELLOW, RED))


def arms(null: bool) -> dict:
    """(treatment, inhibitor, dose, yellow, red-only) by well."""
    wells = dict(ARMS)
    if null:  # without rapamycin, which the question does not need: twice as many experiments in the same time
        return wells | {"A02": ("EBSS", *ARMS["A01"][1:]), "B02": ("EBSS", *ARMS["B01"][1:])}
    for well, dose in DOSES.items():
        wells[well] = ("rapamycin", "none", dose, 7, ZERO + (PLATEAU - ZERO) / (1 + (EC50 / dose) ** SLOPE))
    return wells


def experiment(rng: np.random.Generator, replicates: int, null: bool) -> tuple[pd.DataFrame, pd.DataFrame, dict]:
    """Cells, quality and the spoilt fields of an experiment."""
    cells, quality = [], []
    wells = [f"P{number}_{well}_s{site}" for number in range(replicates) for well in arms(null) for site in (1, 2)]
    spoilt = dict(zip(rng.choice(wells, 2, replace=False), ("out of focus", "saturated")))
    for number in range(replicates):
        day, blocks = factor(rng, "replicate"), {"none": factor(rng, "inhibitor"), "BafA1": factor(rng, "inhibitor")}
        drugs = defaultdict(lambda: factor(rng, "treatment"))
        for well, (treatment, inhibitor, dose, yellow, red) in arms(null).items():
            level = day * drugs[treatment, dose] * blocks[inhibitor] * factor(rng, "well")
            for site in range(1, SITES + 1):
                name, size = f"P{number}_{well}_s{site}", rng.poisson(CELLS)
                seen = {"out of focus": 0.4, "saturated": 0.1}.get(spoilt.get(name), 1.0)
                areas = np.clip(rng.normal(SIZE, 0.15, size), 0.3, 1.44)
                at = {"field": name, "plate": f"P{number}", "well": well, "site": site, "batch": f"P{number}"}
                given = {"treatment": treatment, "inhibitor": inhibitor, "dose": dose or np.nan, "dose_unit": "nM"}
                counts = {
                    kind: rng.poisson(mean * level * seen * areas * rng.gamma(6, 1 / 6, size))
                    for kind, mean in ((YELLOW, yellow), (RED, red))
                }
                cells.append(pd.DataFrame({**at, **given, "label": np.arange(1, size + 1), **counts}))
                quality.append({**at, "date": None, "cells": size, **measured(rng, spoilt.get(name))})
    return pd.concat(cells, ignore_index=True), pd.DataFrame(quality), spoilt


def measured(rng: np.random.Generator, fault: str | None) -> dict[str, float]:
    """What quality measures of a field."""
    row = {}
    for channel in CHANNELS:
        for name, (usual, spread) in USUAL.items():
            row[f"{name}__{channel}"] = usual * np.exp(rng.normal(0, spread))
        row[f"power_slope__{channel}"] = rng.normal(*POWER_SLOPE)
        if fault == "out of focus":
            row[f"power_slope__{channel}"] -= 1.0
            row[f"sharpness__{channel}"] /= 5
    if fault == "saturated":
        row["saturated__mRFP"] = 0.2
    return row


def truths(null: bool) -> dict[tuple[str, str], float]:
    """Flux by quantity and treatment, puncta per cell."""
    rise = {name: SIZE * (wells[1] - wells[0]) for name, wells in {"DMSO": (6, 22), "EBSS": (9, 38)}.items()}
    if null:
        rise["EBSS"] = rise["DMSO"]
    both = {("flux", name): value for name, value in rise.items()}
    return both | {("difference of fluxes", "EBSS"): rise["EBSS"] - rise["DMSO"]}


def analysed(cells: pd.DataFrame, left_out: list[str], doses: bool) -> tuple[pd.DataFrame, pd.Series | None]:
    """Flux by quantity and treatment, and the curve of rapamycin."""
    result = compare(cells, SETTINGS, left_out=left_out)
    flux = compare_flux(result.with_inhibitor, result.arms, [YELLOW], SETTINGS, result.before).table
    rows = flux[(flux["timepoint"] == ALL) & flux["measure"].str.startswith("difference")]
    rows = rows.set_index(["quantity", "treatment"])
    if not doses:
        return rows, None
    curves, _ = compare_doses(result.cells, [RED], SETTINGS, "DMSO", result.cells_before)
    return rows, curves.iloc[0]


def run(seed: list[int], count: int, replicates: int, null: bool) -> None:
    """Print one line of flags, and one of results with flagged fields in and one with them out."""
    flags, found, ratios = Counter(), {"in": Counter(), "out": Counter()}, {"in": [], "out": []}
    for number in range(count):
        cells, quality, spoilt = experiment(np.random.default_rng([*seed, replicates, number]), replicates, null)
        table, _ = flag_fields(quality)
        flagged = list(table.loc[table["flagged"], "field"])
        flags += Counter(found=len(set(flagged) & set(spoilt)), good=len(set(flagged) - set(spoilt)), all=len(table))
        for way, left_out in (("in", []), ("out", flagged)):
            rows, curve = analysed(cells, left_out, doses=not null)
            for asked, true in truths(null).items():
                row, name = rows.loc[asked], f"{asked[0]}, {asked[1]}"
                found[way][name, "covers"] += bool(row["ci_low"] <= true <= row["ci_high"])
                found[way][name, "p"] += bool(row["p_value"] < 0.05)
            if curve is None:
                continue
            found[way]["drawn"] += not curve["refusal"]
            found[way]["covers"] += bool(curve["ec50_low"] <= EC50 <= curve["ec50_high"])
            ratios[way] += [] if curve["refusal"] else [max(curve["ec50"] / EC50, EC50 / curve["ec50"])]
    what = f"{'EBSS as DMSO' if null else 'EBSS acts'}, {replicates} replicates"
    good = flags["all"] - 2 * count
    print(f"{what}: flagged {flags['found']} of {2 * count} spoilt, {flags['good']} of {good} good fields", flush=True)
    for way, counts in found.items():
        said = []
        for name in (", ".join(asked) for asked in truths(null)):
            covers, called = (counts[name, what] / count for what in ("covers", "p"))
            said.append(f"{name}: covers {covers:.2f}, p < 0.05 {called:.2f}")
        off = f"{np.median(ratios[way]):.2f}" if ratios[way] else "-"
        ec50 = (
            ""
            if null
            else f"; EC50: drawn {counts['drawn']} of {count}, covers {counts['covers']}, off by x {off} at the median"
        )
        print(f"  flagged {way:3}: {'; '.join(said)}{ec50}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plates", type=int, default=20, help="experiments for each number of replicates")
    parser.add_argument("--nulls", type=int, default=100, help="experiments in which EBSS does nothing, 3 replicates")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for replicates in (3, 4, 6) if args.plates else ():
        run([args.seed, 0], args.plates, replicates, null=False)
    if args.nulls:
        run([args.seed, 1], args.nulls, 3, null=True)


if __name__ == "__main__":
    main()
