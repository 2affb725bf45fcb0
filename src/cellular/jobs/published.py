"""The functions the published guide names, by those names: each is the real thing at a smaller size.

They differ from the published ones where those went wrong: fields are matched by their exact name (``_s1`` is not
``_s10``), "all" holds every class, labels never wrap.
"""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cellular.data.fields import split_channel
from cellular.data.masks.combine import LabelCanvas
from cellular.data.masks.mask_png import read_mask
from cellular.data.masks.sources import natural
from cellular.data.masks.splits import SPLITS, PatternSplit
from cellular.errors import InputError, MissingInputError, OutputError
from cellular.files import whole_file
from cellular.jobs.prepare import PrepareResult, PrepareSettings, prepare
from cellular.labels.cells import crop_mask

__all__ = [
    "combine_masks",
    "copy_corresponding_files",
    "create_directory",
    "load_mask_images",
    "process_masks",
    "setup_logging",
    "split_data",
]

logger = logging.getLogger(__name__)


def setup_logging() -> None:
    """Log to stderr with time and level, as the published scripts do."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s - %(levelname)s - %(message)s")


def load_mask_images(folder_path: str | Path) -> list[np.ndarray]:
    """Every mask in a class folder as (Y, X) uint8, 255 = cell, in natural order of the files' names.

    A file that cannot be read is named in a warning and left out.
    """
    masks = []
    for path in sorted(_files(folder_path), key=lambda path: natural(path.name)):
        try:
            masks.append(read_mask(path).full().astype(np.uint8) * 255)
        except InputError as error:
            logger.warning("%s", error)
    return masks


def copy_corresponding_files(
    corresponding_files_dir: str | Path, output_dir: str | Path, filename_base: str
) -> list[Path]:
    """Copy every file of the field `filename_base` (``<field>.*``, ``<field>_w1.*`` …); returns the copies."""
    copies = []
    for path in sorted(_files(corresponding_files_dir)):
        if split_channel(path.stem)[0] == filename_base:
            with whole_file(Path(output_dir) / path.name) as temporary:
                shutil.copy2(path, temporary)
            copies.append(Path(output_dir) / path.name)
    return copies


def combine_masks(mask_images: Sequence[np.ndarray]) -> np.ndarray:
    """(Y, X) label image, uint16, or uint32 above 65,535 masks: pixel value k is the k-th mask; the last one wins.

    Parameters
    ----------
    mask_images : (Y, X) or (Y, X, C) arrays of one size; any pixel that is not zero is the cell.

    Raises InputError when there is no mask, or one of another size.
    """
    if not len(mask_images):
        raise InputError("combine_masks needs at least one mask; the label image's size is theirs")
    canvas = LabelCanvas(mask_images[0].shape[:2])
    for mask in mask_images:
        canvas.add(crop_mask(np.asarray(mask)))
    return canvas.labels


def create_directory(directory_path: str | Path) -> None:
    """Make a folder and those above it; one that is there already is left as it is."""
    try:
        Path(directory_path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{directory_path} cannot be made: {error.strerror}") from error


def split_data(directory_path: str | Path, val_pattern: str, test_pattern: str) -> dict[str, list[str]]:
    """Paths of the folder's entries by 'train', 'valid' and 'test', sorted; an empty pattern matches nothing."""
    split = PatternSplit(val_pattern, test_pattern)
    data: dict[str, list[str]] = {name: [] for name in SPLITS}
    for path in sorted(_entries(directory_path), key=lambda path: natural(path.name)):
        data[split.assign(path.name)].append(str(path))
    return data


def process_masks(
    input_path: str | Path,
    image_dirname: str,
    mask_dirname: str,
    output_dir: str | Path,
    val_pattern: str,
    test_pattern: str,
    format: str = "png",
    exclude_class: Sequence[str] = ("Unidentified",),
) -> PrepareResult:
    """Prepare a whole dataset with the published arguments: `cellular.jobs.prepare.prepare` under its old name."""
    settings = PrepareSettings(
        image_dirname=image_dirname,
        mask_dirname=mask_dirname,
        val_pattern=val_pattern,
        test_pattern=test_pattern,
        format=format,
        exclude=tuple(exclude_class),
    )
    return prepare(input_path, output_dir, settings)


def _entries(folder: str | Path) -> list[Path]:
    if not Path(folder).is_dir():
        raise MissingInputError(f"No such folder: {folder}")
    return [path for path in Path(folder).iterdir() if not path.name.startswith(".")]


def _files(folder: str | Path) -> list[Path]:
    return [path for path in _entries(folder) if path.is_file()]
