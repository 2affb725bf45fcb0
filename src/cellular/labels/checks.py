"""What a label image must be."""

import numpy as np

from cellular.errors import InputError


def as_labels(image: np.ndarray) -> np.ndarray:
    """Labels as uint16 while the largest is at most 65,535, else uint32; never wrapped."""
    largest = int(image.max(initial=0))
    if largest > np.iinfo(np.uint32).max:
        raise InputError(f"label {largest} does not fit 32 bits")
    return image.astype(np.uint16 if largest <= np.iinfo(np.uint16).max else np.uint32, copy=False)
