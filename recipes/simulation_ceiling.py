"""How well could any readout tell simulated cells' states apart? Classify them by their true puncta counts.

    python recipes/simulation_ceiling.py SIM_DIR

SIM_DIR is a folder of `cellular simulate` with several wells. Prints the balanced accuracy of gradient-boosted trees,
one well left out at a time, with all true puncta and with those that the composite's saturation does not hide.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

from cellular.data.fields import parse_field
from cellular.files import read_csv

KINDS = ["yellow", "red_only", "green_only"]


def balanced_accuracy(cells: pd.DataFrame, puncta: pd.DataFrame) -> float:
    """Of state predicted from the counts of each kind, leaving one well out at a time."""
    counts = pd.crosstab([puncta["field"], puncta["cell"]], puncta["kind"]).reindex(columns=KINDS, fill_value=0)
    keys = pd.MultiIndex.from_frame(cells[["field", "label"]], names=["field", "cell"])
    counts = counts.reindex(keys, fill_value=0)
    features = counts.assign(red_only_fraction=(counts["red_only"] + 0.5) / (counts.sum(axis=1) + 1)).to_numpy()
    wells = np.array([parse_field(name).well for name in cells["field"]])
    model = HistGradientBoostingClassifier(max_iter=60, max_depth=3, random_state=0)
    predicted = cross_val_predict(model, features, cells["state"], groups=wells, cv=LeaveOneGroupOut())
    return balanced_accuracy_score(cells["state"], predicted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("simulated", type=Path, metavar="SIM_DIR")
    truth = parser.parse_args().simulated / "truth"
    cells, puncta = read_csv(truth / "cells.csv"), read_csv(truth / "puncta.csv")
    print(f"all puncta: {balanced_accuracy(cells, puncta):.3f}")
    print(f"puncta not hidden by saturation: {balanced_accuracy(cells, puncta[~puncta['saturated']]):.3f}")


if __name__ == "__main__":
    main()
