"""Fields as light pictures for a page: one grey JPEG a channel, colour and contrast are the reader's."""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from cellular.data.image import FieldImage
from cellular.report.colours import colours_of
from cellular.report.outlines import only_numbers

# What all pictures of one page may take, bytes of the page; with Bokeh (2 MB), cells and figures it stays under 20 MB.
PICTURE_BYTES = 14_000_000
# JPEG of these qualities is tried before the picture is halved. Of real fields the first is as large and as true as
# WebP of its usual 75, and written in a fiftieth of the time.
QUALITIES = (60, 45, 30)
# Levels beyond these quantiles are cut; what is between is kept in 256 steps, and shown at first from 1 % to 99.7 %.
_KEPT, _SHOWN = (0.0005, 0.9999), (0.01, 0.997)


@dataclass(frozen=True)
class ChannelPicture:
    """One channel of one field.

    Attributes
    ----------
    url : the grey picture as ``data:image/jpeg;base64,...``.
    low, high : levels of its black and white. dark, bright : levels it is well shown between.
    quality, halved : how it was made small: JPEG's quality, and how often its sides were halved.
    """

    url: str
    low: float
    high: float
    dark: float
    bright: float
    quality: int
    halved: int


def channel_colours(image: FieldImage) -> dict[str, tuple[int, int, int]]:
    """Name of each channel of a field -> the colour (R, G, B) that it is shown in."""
    # the colours of a composite hold several channels' light each, and are shown as they are
    names = ("red", "green", "blue") if image.kind != "raw" and len(image.roles) == 3 else image.channels
    return dict(zip(names, colours_of(names)))


def channel_pictures(image: FieldImage, most_bytes: float) -> list[ChannelPicture]:
    """Every channel of a field (Y, X, C) as a picture of at most `most_bytes` in the page, in the field's order."""
    return [_picture(image.pixels[:, :, index], most_bytes) for index in range(image.pixels.shape[2])]


def size_choice(pictures: Sequence[ChannelPicture]) -> str:
    """How the pictures were made small, in a sentence."""
    lowest, halved = min(p.quality for p in pictures), max(p.halved for p in pictures)
    size = f"halved {halved} time(s) in size" if halved else "of full size, every pixel of the image"
    return (
        f"Pictures are {size}, 8 bit, JPEG of quality {lowest} or better: for looking at. Numbers were measured on the "
        "images themselves."
    )


def _picture(plane: np.ndarray, most_bytes: float) -> ChannelPicture:
    if plane.dtype == np.uint8:
        # colours of 8 bits are shown as they are
        low, high = dark, bright = 0.0, 255.0
        grey = np.ascontiguousarray(plane)
    else:
        plane = only_numbers(plane)
        low, high, dark, bright = (float(v) for v in np.quantile(plane, (*_KEPT, *_SHOWN)))
        high = max(high, low + 1e-9)
        grey = (255 * ((plane - np.float32(low)) / np.float32(high - low)).clip(0, 1)).round().astype(np.uint8)
    data, quality, halved = _encoded(grey, most_bytes)
    url = f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"
    return ChannelPicture(url, low, high, dark, max(bright, dark + 1e-9), quality, halved)


def _encoded(grey: np.ndarray, most_bytes: float) -> tuple[bytes, int, int]:
    """JPEG bytes, quality and halvings of the best picture that is small enough; of 64 px, whatever it takes."""
    halved = 0
    while True:
        for quality in QUALITIES:
            data = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
            if math.ceil(len(data) / 3) * 4 <= most_bytes or max(grey.shape) <= 64:
                return data, quality, halved
        grey = cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        halved += 1
