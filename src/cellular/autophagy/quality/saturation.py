"""Pixels at the top of the camera's range: all that is known of them is that they were at least so bright."""

import numpy as np

from cellular.data.formats.image_info import at_the_top
from cellular.data.image import FieldImage


def saturated_pixels(image: FieldImage, channel: int) -> np.ndarray:
    """(Y, X) bool: where a channel of the image is saturated, as the camera recorded it."""
    if image.saturated is not None:
        return image.saturated[:, :, channel]
    return at_the_top(image.pixels[:, :, channel], image.white)


def saturated_share(image: FieldImage, channel: int) -> float:
    """Share of a channel's pixels that are saturated, 0..1."""
    found = saturated_pixels(image, channel)
    return np.count_nonzero(found) / found.size
