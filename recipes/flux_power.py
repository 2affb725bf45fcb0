"""How often `cellular stats` covers, calls and finds: flux and EC50 on simulated plates whose truth is known.

    python recipes/flux_power.py [--experiments 300] [--seed 0] [--what effect none doses]

Wells hold 2 sites of 50 cells. Puncta of a cell are Poisson about a gamma of shape 6, times the cell's size;
replicates, their treatments, their inhibitors and their wells scatter (log-normal, standard deviations below). Prints
the coverage of 95 % intervals, the share of p < 0.05 without any effect, and the power, each against the number of
replicates.
"""

import argparse
from collections import Counter
from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from cellular.autophagy.compare.design import StatsSettings
from cellular.autophagy.compare.doses import curve_row
from cellular.autophagy.compare.inference import Inference
from cellular.autophagy.compare.models import fit_count, fit_count_interaction, fit_mean, fit_mean_interaction
from cellular.autophagy.compare.pairs import interval

# Yellow puncta of a cell of full size: without and with bafilomycin.
POOLS = {"DMSO": (6, 22), "EBSS": (9, 38)}
SCATTER = {"replicate": 0.10, "treatment": 0.06, "inhibitor": 0.06, "well": 0.06}
SIZE, CELLS, SITES = 0.87, 50, 2
SETTINGS = StatsSettings()


def factor(rng: np.random.Generator, level: str, size: int | None = None) -> np.ndarray:
    """Log-normal factors of mean one."""
    sd = SCATTER[level]
    return np.exp(rng.normal(-(sd**2) / 2, sd, size))


def counts_of(rng: np.random.Generator, mean: float) -> np.ndarray:
    """(SITES, CELLS) puncta of the cells of a well."""
    shape = (SITES, CELLS)
    size = np.clip(rng.normal(SIZE, 0.15, shape), 0.3, 1.44)
    return rng.poisson(mean * factor(rng, "well") * size * rng.gamma(6, 1 / 6, shape))


def flux_experiment(rng: np.random.Generator, replicates: int, wells: int, pools: dict) -> pd.DataFrame:
    """Images of both treatments with and without inhibitor, `wells` wells each, on one plate a replicate."""
    rows = []
    for number in range(replicates):
        day, blocks = factor(rng, "replicate"), factor(rng, "inhibitor", 2)
        for group, means in enumerate(pools.values()):
            drug = factor(rng, "treatment")
            for treated, mean in enumerate(means):
                for place in range(wells):
                    well = f"P{number}/{group}{treated}{place}"
                    for site, puncta in enumerate(counts_of(rng, mean * day * drug * blocks[treated])):
                        at = {"replicate": f"P{number}", "plate": f"P{number}", "well": well, "timepoint": 1}
                        at |= {"position": f"{well}/{site}", "image": f"{well}/{site}"}
                        sums = {"size": CELLS, "total": puncta.sum(), "squares": np.sum(puncta**2)}
                        rows.append({**at, "treated": treated, "group": group, "value": puncta.mean(), **sums})
    return pd.DataFrame(rows)


def questions(pools: dict) -> dict[str, tuple[Callable, bool, Callable, float]]:
    """By name: the model, whether it takes both treatments, its scale, and the truth that its interval should cover."""
    rise = {name: (high - low) * SIZE for name, (low, high) in pools.items()}
    ratio = {name: high / low for name, (low, high) in pools.items()}
    return {
        "flux of EBSS, difference": (fit_mean, False, float, rise["EBSS"]),
        "flux of EBSS, ratio": (fit_count, False, np.exp, ratio["EBSS"]),
        "difference of fluxes": (fit_mean_interaction, True, float, rise["EBSS"] - rise["DMSO"]),
        "ratio of ratios": (fit_count_interaction, True, np.exp, ratio["EBSS"] / ratio["DMSO"]),
    }


def count_flux(rng: np.random.Generator, experiments: int, replicates: int, wells: int, pools: dict) -> Counter:
    """How often each interval covers the truth, and how often p < 0.05."""
    counts: Counter = Counter()
    allowed = Inference("replicate", replicates - 1)
    for _ in range(experiments):
        images = flux_experiment(rng, replicates, wells, pools)
        for name, (fit, both, scale, true) in questions(pools).items():
            row = interval(fit(images if both else images[images["group"] == 1], "replicate"), allowed, SETTINGS, scale)
            counts["covers", name] += bool(row["ci_low"] <= true <= row["ci_high"])
            counts["found", name] += bool(row["p_value"] < 0.05)
    return counts


def count_doses(rng: np.random.Generator, experiments: int, replicates: int, ec50: float) -> tuple[int, int, float]:
    """Curves drawn, those whose interval covers the EC50, and the median of upper over lower end.

    Zero and six doses from 1 to 1,000, one well each: 8 puncta to 22, slope 1.2.
    """
    drawn, covers, widths = 0, 0, []
    doses = pd.Index([0, *np.geomspace(1, 1000, 6)], name="dose")
    for _ in range(experiments):
        means = pd.DataFrame(index=pd.Index([f"P{n}" for n in range(replicates)], name="replicate"), columns=doses)
        for replicate in means.index:
            day = factor(rng, "replicate")
            for dose in doses:
                mean = 8 + (14 / (1 + (ec50 / dose) ** 1.2) if dose else 0)
                means.loc[replicate, dose] = counts_of(rng, mean * day * factor(rng, "treatment")).mean()
        curve = curve_row(means.astype(float), SETTINGS)
        if curve["refusal"]:
            continue
        drawn += 1
        covers += curve["ec50_low"] <= ec50 <= curve["ec50_high"]
        widths.append(curve["ec50_high"] / curve["ec50_low"])
    return drawn, covers, float(np.median(widths)) if widths else np.nan


def share(count: int, of: int) -> str:
    """A count's share with its exact 95 % interval."""
    if not of:
        return "-"
    ends = binomtest(count, of).proportion_ci()
    return f"{count / of:.3f} ({ends.low:.3f} to {ends.high:.3f})"


def doses(seed: int, experiments: int, replicates: int) -> None:
    """Print EC50 after every 20 experiments, for they are slow: curves drawn, coverage, width."""
    drawn, covers, widths = 0, 0, []
    for number in range(-(-experiments // 20)):
        more = count_doses(np.random.default_rng([seed, replicates, number]), 20, replicates, 60.0)
        drawn, covers, widths = drawn + more[0], covers + more[1], [*widths, more[2]]
        tried = 20 * (number + 1)
        print(
            f"EC50 {replicates} replicates: drawn {share(drawn, tried)} of {tried}, covers {share(covers, drawn)}, "
            f"x {np.median(widths):.2f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--what", nargs="+", choices=("effect", "none", "doses"), default=["effect", "none", "doses"])
    args = parser.parse_args()
    n = args.experiments
    designs = [(replicates, wells) for wells in (1, 3) for replicates in (3, 4, 6)]
    for name, pools in (("effect", POOLS), ("none", {"DMSO": POOLS["DMSO"], "EBSS": POOLS["DMSO"]})):
        for replicates, wells in designs if name in args.what else ():
            counts = count_flux(np.random.default_rng([args.seed, replicates, wells]), n, replicates, wells, pools)
            for asked in questions(pools):
                shares = f"covers {share(counts['covers', asked], n)}, p < 0.05 {share(counts['found', asked], n)}"
                print(f"{name:6} {replicates} replicates, {wells} well(s): {asked:25} {shares}", flush=True)
    for replicates in (3, 4, 6) if "doses" in args.what else ():
        doses(args.seed, n // 3, replicates)


if __name__ == "__main__":
    main()
