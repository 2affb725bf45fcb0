"""Pixels at the top of the camera's range: all that is known of them is that they were at least so bright."""

import numpy as np

from cellular.data.image import FieldImage

# Tops of cameras of 8, 12 and 14 bits, whose images come in wider types.
_CAMERAS = (255, 4095, 16383)


def saturated_pixels(image: FieldImage, channel: int) -> np.ndarray:
    """(Y, X) bool: where a channel of the image is saturated, as the camera recorded it."""
    if image.saturated is not None:
        return image.saturated[:, :, channel]
    return at_the_top(image.pixels[:, :, channel], image.white)


def saturated_share(image: FieldImage, channel: int) -> float:
    """Share of a channel's pixels that are saturated, 0..1."""
    found = saturated_pixels(image, channel)
    return np.count_nonzero(found) / found.size


def at_the_top(plane: np.ndarray, white: float | None) -> np.ndarray:
    """Pixels at the top: of what the file says of its camera, of the type, or of 8-, 12- and 14-bit cameras."""
    if plane.dtype.kind == "f":
        return np.zeros(plane.shape, bool) if white is None else plane >= white
    top = int(plane.max())
    if plane.dtype == np.uint8:
        # JPEG rounds: 254 beside a wall of 255 is as saturated
        return plane >= 254 if top == 255 else np.zeros(plane.shape, bool)
    tops = {np.iinfo(plane.dtype).max, *_CAMERAS} | ({int(white)} if white else set())
    return plane >= top if top in tops else np.zeros(plane.shape, bool)
