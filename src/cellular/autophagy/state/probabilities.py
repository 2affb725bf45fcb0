"""What shares are learned from: probabilities of states, and units that are left out to see how a share varies."""

import numpy as np
import pandas as pd

from cellular.errors import InputError

# No classifier is surer than that.
LEAST = 1e-6
# Units are left out one by one, or in as many groups of neighbours (by name) where they are more.
_MOST_LEFT_OUT = 24


def check_probabilities(values: pd.Series) -> None:
    """Raise InputError where a column holds what is no probability; missing ones are none."""
    known = values.dropna()
    if len(wrong := known[~known.between(0, 1)]):
        raise InputError(f"{values.name} must lie in 0..1, found {wrong.iloc[0]}")


def left_out(units: int) -> list[np.ndarray]:
    """Numbers of the units, from 0, that are left out together for a jackknife."""
    return np.array_split(np.arange(units), min(units, _MOST_LEFT_OUT))
