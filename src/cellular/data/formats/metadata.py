"""What an image file says about itself: pixel size and channel names."""

from dataclasses import dataclass
from pathlib import Path

from cellular.data.formats.image_file import describe_image


@dataclass(frozen=True)
class Metadata:
    """What a file says; None or empty where it says nothing.

    Attributes
    ----------
    pixel_size : side of a pixel, µm.
    channels : names of its channels.
    """

    pixel_size: float | None = None
    channels: tuple[str, ...] = ()


def read_metadata(path: str | Path) -> Metadata:
    """Pixel size and channel names of a file's first image; an empty tuple where no channel has a name."""
    first = describe_image(path)[0]
    return Metadata(first.pixel_size_um, first.channels if any(first.channels) else ())
