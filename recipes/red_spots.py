"""The published readout, number and area of red spots, fed against starved: a table by well and a figure by field,
with its data.

    python recipes/red_spots.py MEASURED OUT.svg

MEASURED is a folder of `cellular measure`. Wells are what to compare; with wells of one date there is no
biological replicate, so no p-value is given.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from cellular.autophagy.measure.counts import red_spots
from cellular.data.fields import parse_field
from cellular.data.platemap import cellular_treatment
from cellular.files import read_csv
from cellular.report.style import save, treatment_colours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measured", type=Path, metavar="MEASURED")
    parser.add_argument("figure", type=Path, metavar="OUT.svg")
    args = parser.parse_args()
    fields = red_spots(read_csv(args.measured / "cells.csv"), read_csv(args.measured / "puncta.csv"))
    parts = fields["field"].map(parse_field)
    fields = fields.assign(well=parts.map(lambda p: p.well), treatment=parts.map(lambda p: cellular_treatment(p.well)))
    wells = fields.groupby(["treatment", "well"])[["spots_per_cell", "mean_area"]].mean()
    print(wells.join(fields.groupby(["treatment", "well"]).size().rename("fields")).round(2).to_string())
    colours = treatment_colours(sorted(fields["treatment"].unique()))
    figure, axes = plt.subplots(1, 2, figsize=(7, 3.2))
    for axis, (column, label) in zip(
        axes, {"spots_per_cell": "red spots per cell", "mean_area": "mean area of red spots (px²)"}.items()
    ):
        for place, (treatment, colour) in enumerate(colours.items()):
            values = fields.loc[fields["treatment"] == treatment, column]
            axis.plot(place + np.linspace(-0.15, 0.15, len(values)), values, "o", color=colour, alpha=0.4)
            means = wells.loc[treatment, column]
            axis.plot(np.full(len(means), place), means, "D", color=colour, markeredgecolor="black", markersize=9)
        axis.set_xticks(range(len(colours)), list(colours))
        axis.set(ylabel=label, xlim=(-0.5, len(colours) - 0.5), ylim=(0, None))
    figure.tight_layout()
    save(figure, args.figure, fields)


if __name__ == "__main__":
    main()
