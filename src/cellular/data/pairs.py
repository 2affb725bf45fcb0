"""A folder of images with label images beside them: what `prepare` writes and `train` and `evaluate` read."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cellular.data.fields import split_channel
from cellular.data.formats.images import CHANNEL_ORDER, IMAGE_SUFFIXES, read_image, read_labels
from cellular.errors import InputError, MissingInputError

MASKS_SUFFIX = "_masks"
IGNORE_SUFFIX = "_ignore"


@dataclass(frozen=True)
class Pair:
    """One field's files. `images` is one composite or image, or the raw channel files; `labels` may be None."""

    name: str
    images: tuple[Path, ...]
    labels: Path | None = None
    ignore: Path | None = None


def find_pairs(folder: str | Path, *, labels: bool = True) -> list[Pair]:
    """Pairs in `folder`, sorted by name: ``<field>.<ext>`` or ``<field>_w1.TIF``… beside ``<field>_masks.<png|tif>``.

    Where a field has both a composite and raw channels, the composite is taken (as published). With `labels`,
    every image must have its label image and the other way round. ``<field>_ignore.*`` is optional.

    Raises MissingInputError for a missing folder, InputError for one without images, for an image without labels
    (or labels without image), and for two files that claim the same field.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingInputError(f"No such folder: {folder}")
    composites: dict[str, list[Path]] = defaultdict(list)
    raws: dict[str, dict[int, Path]] = defaultdict(dict)
    special: dict[str, dict[str, Path]] = {MASKS_SUFFIX: {}, IGNORE_SUFFIX: {}}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith("."):
            continue
        kind = next((suffix for suffix in special if path.stem.endswith(suffix)), None)
        field, channel = split_channel(path.stem)
        if kind:
            _claim(special[kind], path.stem[: -len(kind)], path)
        elif channel is None:
            composites[field].append(path)
        else:
            _claim(raws[field], channel, path)
    names = sorted(set(composites) | set(raws))
    if not names:
        raise InputError(f"{folder} holds no images ({', '.join(IMAGE_SUFFIXES)})")
    if labels:
        _check_complete(folder, set(names), set(special[MASKS_SUFFIX]))
    return [
        Pair(name, _images(name, composites, raws), special[MASKS_SUFFIX].get(name), special[IGNORE_SUFFIX].get(name))
        for name in names
    ]


def _claim(taken: dict, key: object, path: Path) -> None:
    if key in taken:
        raise InputError(f"Two files for the same thing: {taken[key]} and {path}; remove one")
    taken[key] = path


def _images(name: str, composites: dict[str, list[Path]], raws: dict[str, dict[int, Path]]) -> tuple[Path, ...]:
    if len(composites.get(name, ())) > 1:
        raise InputError(f"Two images for field {name}: {composites[name][0]} and {composites[name][1]}; remove one")
    if name in composites:
        return tuple(composites[name])
    channels = raws[name]
    return tuple(channels[c] for c in (*CHANNEL_ORDER, *sorted(set(channels) - set(CHANNEL_ORDER))) if c in channels)


def _check_complete(folder: Path, images: set[str], labels: set[str]) -> None:
    bare = sorted(images - labels)
    if bare:
        raise InputError(
            f"{folder}: {len(bare)} image(s) without a label image, first '{bare[0]}': expected "
            f"{bare[0]}{MASKS_SUFFIX}.png or .tif beside it (cellular prepare writes them)"
        )
    orphans = sorted(labels - images)
    if orphans:
        raise InputError(
            f"{folder}: {len(orphans)} label image(s) without an image, first '{orphans[0]}{MASKS_SUFFIX}'"
        )


def load_image(pair: Pair) -> np.ndarray:
    """The field's image as (Y, X) or (Y, X, C); raw channels are stacked as (mRFP, EGFP, transmitted).

    Channels are told by their place from here on, so that a gap is an InputError. Raw channels of 8 bit come as uint16:
    three planes of uint8 would be a composite.
    """
    planes = [read_image(path) for path in pair.images]
    if len(planes) == 1:
        return planes[0]
    for path, plane in zip(pair.images, planes):
        if plane.ndim != 2 or plane.shape != planes[0].shape:
            raise InputError(f"{path}: shape {plane.shape} differs from {pair.images[0].name}'s {planes[0].shape}")
    there = {split_channel(path.stem)[1] for path in pair.images}
    if missing := set(CHANNEL_ORDER[: len(there)]) - there:
        raise InputError(
            f"{pair.images[0].parent}: field {pair.name} has channels {sorted(there)} but no _w{min(missing)}; add it"
        )
    stack = np.stack(planes, axis=-1)
    return stack.astype(np.uint16) if stack.dtype == np.uint8 else stack


def load_labels(pair: Pair, shape: tuple[int, int]) -> np.ndarray:
    """The field's label image, checked to have the image's (Y, X) `shape`."""
    if pair.labels is None:
        raise MissingInputError(f"Field {pair.name} has no label image")
    labels = read_labels(pair.labels)
    if labels.shape != tuple(shape[:2]):
        raise InputError(f"{pair.labels}: shape {labels.shape} differs from the image's {tuple(shape[:2])}")
    return labels
