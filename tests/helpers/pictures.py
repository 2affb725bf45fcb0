"""Field images for tests, from arrays."""

import numpy as np

from cellular.data.image import COMPOSITE_ROLES, FieldImage


def raw(pixels: np.ndarray) -> FieldImage:
    """Detector channels in the order mRFP, EGFP, transmitted; as many as there are."""
    return FieldImage.of(pixels, COMPOSITE_ROLES[: pixels.shape[2] if pixels.ndim == 3 else 1])


def composite(pixels: np.ndarray) -> FieldImage:
    """A composite, transmitted light mixed into all three colours."""
    return FieldImage.of(pixels, kind="composite")


def field_image(pixels: np.ndarray) -> FieldImage:
    """A composite of three 8-bit planes, raw channels of anything else: as CELLULAR's own files are."""
    return composite(pixels) if pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 else raw(pixels)
