"""Arguments that several verbs share."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cellular.segment.settings import SegmentSettings


def boolean(text: str) -> bool:
    """Parse true/false, yes/no, on/off or 1/0, so that a boolean can be false (in the published scripts it cannot)."""
    value = text.strip().lower()
    if value in ("true", "yes", "on", "1"):
        return True
    if value in ("false", "no", "off", "0"):
        return False
    raise argparse.ArgumentTypeError(f"expected true or false, got {text!r}")


def diameter(text: str) -> float | str:
    """Parse a cell diameter: a number of px, or "auto"."""
    if text.strip().lower() == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number of px or auto, got {text!r}") from None


def add_segmentation(parser: argparse.ArgumentParser, thresholds: bool = True) -> None:
    """How to segment, for every verb that does; without `thresholds` for one that seeks them."""
    add = parser.add_argument
    add(
        "--diameter",
        type=diameter,
        help="cell diameter in px, or auto to estimate it from each image; left out, the model's, else auto",
    )
    add("--channels", type=int, nargs="+", metavar="C", help="image channels, 0 = grey; left out, the model's")
    if thresholds:
        add("--flow_threshold", "--flow-threshold", type=float, help="0 keeps every cell; left out, the model's")
        add("--cellprob_threshold", "--cellprob-threshold", type=float, help="lower finds more; left out, the model's")
    add("--min_size", "--min-size", type=int, default=15, help="smallest cell, px")
    add("--niter", type=int, help="steps to follow the flows; left out, in proportion to the diameter")
    add("--augment", type=boolean, help="average over flips, four times slower; left out, the model's choice")
    add("--resample", type=boolean, help="follow flows at the image's scale, slower; left out, the model's choice")
    add("--tiling", choices=("whole", "cellpose"), default="whole", help="cellpose equals Cellpose 3")
    add("--window", type=int, default=4096, help="larger images are segmented in windows of this side, px")
    add("--invert", type=boolean, default=False, help="dark cells on bright ground")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")


def segmentation_settings(args: argparse.Namespace) -> SegmentSettings:
    """Settings from the arguments of :func:`add_segmentation`."""
    from dataclasses import fields

    from cellular.segment.settings import SegmentSettings

    values = {field.name: getattr(args, field.name) for field in fields(SegmentSettings) if hasattr(args, field.name)}
    return SegmentSettings(**values | {"channels": tuple(args.channels) if args.channels else None})
