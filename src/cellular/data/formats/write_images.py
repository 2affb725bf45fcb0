"""Images beside exported labels, so that the files that name them name files that are there."""

import filecmp
import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cellular.data.formats.images import IMAGE_SUFFIXES, read_image, write_image
from cellular.data.formats.labelled import LabelledField
from cellular.errors import OutputExistsError
from cellular.files import whole_file

logger = logging.getLogger(__name__)

FOLDER = "images"


def place_image(item: LabelledField, out: Path) -> str:
    """Put a field's image into ``out/images``; returns its file's name there, ``<field>.tif`` where it has none.

    A single file is linked, or copied where the disk cannot link; raw channels become one TIFF. An image that is there
    already stays. Another file of that name raises OutputExistsError.
    """
    target = out / FOLDER / _file_name(item)
    if item.images and not _is_there(item, target):
        if _single(item):
            _link(item.images[0], target)
        elif (image := item.image()) is not None:
            write_image(target, image)
    return target.name


def warn_of_bare(fields: Sequence[LabelledField]) -> None:
    """Say that some fields have no image, though files name it."""
    if bare := [item.name for item in fields if not item.images]:
        logger.warning(
            "%d field(s) have no image, first %s: what is written names %s.tif, which is not there; --images finds it",
            *(len(bare), bare[0], bare[0]),
        )


def _single(item: LabelledField) -> bool:
    return len(item.images) == 1 and item.images[0].suffix.lower() in IMAGE_SUFFIXES


def _file_name(item: LabelledField) -> str:
    return item.images[0].name if _single(item) else f"{item.name}.tif"


def _is_there(item: LabelledField, target: Path) -> bool:
    if not target.exists():
        return False
    if _single(item):
        same = target.samefile(item.images[0]) or filecmp.cmp(target, item.images[0], shallow=False)
    else:
        image = item.image()
        same = image is not None and np.array_equal(read_image(target), image)
    if not same:
        raise OutputExistsError(f"{target} is there already and is another image; choose another --out")
    return True


def _link(source: Path, target: Path) -> None:
    with whole_file(target) as temporary:
        temporary.unlink()
        try:
            os.link(source.resolve(), temporary)
        except OSError:
            shutil.copy2(source, temporary)
