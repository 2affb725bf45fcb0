"""How often `cellular stats` covers, calls and finds: flux and EC50 on simulated plates whose truth is known.

    python recipes/flux_power.py [--experiments 300] [--seed 0]

Wells hold 2 sites of 50 cells. Puncta of a cell are Poisson about a gamma of shape 6, times the cell's size;
replicates, their treatments, their inhibitors and their wells scatter (log-normal, standard deviations below). Prints
the coverage of 95 % intervals, the share of p < 0.05 without any effect, and the power, each against the number of
replicates.
"""

import argparse
from collections import Counter

import numpy as np
import pandas as pd

from cellular.autophagy.compare.design import StatsSettings, nest
from cellular.autophagy.compare.doses import compare_doses
from cellular.autophagy.compare.flux import compare_flux
from cellular.autophagy.compare.inhibitor import find_arms

# Yellow puncta of a cell of full size: without and with bafilomycin.
POOLS = {"DMSO": (6, 22), "EBSS": (9, 38)}
SCATTER = {"replicate": 0.10, "treatment": 0.06, "inhibitor": 0.06, "well": 0.06}
SIZE = 0.87
SETTINGS = StatsSettings(control="DMSO", replicate="batch")


def factor(rng: np.random.Generator, level: str, size: int | None = None) -> np.ndarray:
    """Log-normal factors of mean one."""
    sd = SCATTER[level]
    return np.exp(rng.normal(-(sd**2) / 2, sd, size))


def well(rng: np.random.Generator, given: dict, mean: float, name: str) -> pd.DataFrame:
    """The cells of a well: two sites of 50."""
    size = np.clip(rng.normal(SIZE, 0.15, 100), 0.3, 1.44)
    counts = rng.poisson(mean * factor(rng, "well") * size * rng.gamma(6, 1 / 6, 100))
    sites = np.repeat(["s1", "s2"], 50)
    fields = [f"{given['batch']}_{name}_{site}" for site in sites]
    return pd.DataFrame(
        {"field": fields, "plate": given["batch"], "well": name, "site": sites, "puncta_yellow": counts, **given}
    )


def flux_experiment(rng: np.random.Generator, replicates: int, wells: int, pools: dict) -> pd.DataFrame:
    """Both treatments with and without inhibitor, `wells` wells each, on one plate a replicate."""
    parts = []
    for number in range(replicates):
        day, blocks = factor(rng, "replicate"), factor(rng, "inhibitor", 2)
        for row, (treatment, means) in enumerate(pools.items()):
            drug = factor(rng, "treatment")
            for blocked, mean in enumerate(means):
                for column in range(wells):
                    given = {"batch": f"P{number}", "treatment": treatment, "inhibitor": ("none", "BafA1")[blocked]}
                    name = f"{'AB'[row]}{1 + column + wells * blocked:02d}"
                    parts.append(well(rng, given, mean * day * drug * blocks[blocked], name))
    return pd.concat(parts, ignore_index=True)


def dose_experiment(rng: np.random.Generator, replicates: int, ec50: float) -> pd.DataFrame:
    """Zero and six doses from 1 to 1,000, one well each: 8 puncta to 22, slope 1.2."""
    parts = []
    for number in range(replicates):
        day = factor(rng, "replicate")
        for column, dose in enumerate((0, *np.geomspace(1, 1000, 6)), 1):
            mean = 8 + (14 / (1 + (ec50 / dose) ** 1.2) if dose else 0)
            given = {"batch": f"P{number}", "treatment": "drug" if dose else "DMSO", "dose": dose or np.nan}
            parts.append(well(rng, given, mean * day * factor(rng, "treatment"), f"A{column:02d}"))
    return pd.concat(parts, ignore_index=True)


def measured(cells: pd.DataFrame) -> pd.DataFrame:
    """Flux and difference of fluxes by measure."""
    table = nest(cells, SETTINGS)
    found = compare_flux(table, find_arms(table, SETTINGS), ["puncta_yellow"], SETTINGS).table
    return found.set_index(["quantity", "measure", "treatment"])


def truth(pools: dict) -> dict[tuple[str, str, str], float]:
    """What the intervals should cover."""
    rise = {name: (high - low) * SIZE for name, (low, high) in pools.items()}
    ratio = {name: high / low for name, (low, high) in pools.items()}
    return {
        ("flux", "difference of rates", "EBSS"): rise["EBSS"],
        ("flux", "ratio of rates", "EBSS"): ratio["EBSS"],
        ("difference of fluxes", "difference of differences of rates", "EBSS"): rise["EBSS"] - rise["DMSO"],
        ("difference of fluxes", "ratio of ratios of rates", "EBSS"): ratio["EBSS"] / ratio["DMSO"],
    }


def count_flux(rng: np.random.Generator, experiments: int, replicates: int, wells: int, pools: dict) -> Counter:
    """How often each interval covers the truth, and how often p < 0.05."""
    counts: Counter = Counter()
    for _ in range(experiments):
        found = measured(flux_experiment(rng, replicates, wells, pools))
        for key, true in truth(pools).items():
            counts[("covers", *key)] += bool(found.loc[key, "ci_low"] <= true <= found.loc[key, "ci_high"])
            counts[("found", *key)] += bool(found.loc[key, "p_value"] < 0.05)
    return counts


def count_doses(rng: np.random.Generator, experiments: int, replicates: int, ec50: float) -> tuple[int, int, float]:
    """Curves that were drawn, those whose interval covers the EC50, and the median upper over lower end."""
    drawn, covers, widths = 0, 0, []
    for _ in range(experiments):
        table = nest(dose_experiment(rng, replicates, ec50), SETTINGS)
        curve = compare_doses(table, ["puncta_yellow"], SETTINGS, "DMSO")[0].iloc[0]
        if curve["refusal"]:
            continue
        drawn += 1
        covers += curve["ec50_low"] <= ec50 <= curve["ec50_high"]
        widths.append(curve["ec50_high"] / curve["ec50_low"])
    return drawn, covers, float(np.median(widths)) if widths else np.nan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    n = args.experiments
    designs = [(replicates, wells) for replicates in (3, 4, 6) for wells in (1, 2)]
    same = {"DMSO": POOLS["DMSO"], "EBSS": POOLS["DMSO"]}
    for name, pools in (("effect", POOLS), ("none", same)):
        for replicates, wells in designs:
            rng = np.random.default_rng([args.seed, replicates, wells])
            counts = count_flux(rng, n, replicates, wells, pools)
            for key in truth(pools):
                covers, found = counts[("covers", *key)] / n, counts[("found", *key)] / n
                shares = f"covers {covers:.3f} p<0.05 {found:.3f}"
                print(f"{name:7} R={replicates} wells={wells} {': '.join(key[:2]):55} {shares}", flush=True)
    for replicates in (3, 4, 6):
        drawn, covers, width = count_doses(np.random.default_rng([args.seed, replicates]), n // 3, replicates, 60.0)
        drawn_of = f"drawn {drawn} of {n // 3}, covers {covers / max(drawn, 1):.3f}"
        print(f"EC50    R={replicates}: {drawn_of}, upper/lower {width:.2f}", flush=True)


if __name__ == "__main__":
    main()
