"""Which fields a model has learned from: digests of their images travel with the model."""

import hashlib
import logging
from collections.abc import Callable, Iterable
from functools import cache, partial
from pathlib import Path

from cellular.data.plate import FieldFiles
from cellular.files import sha256_of
from cellular.segment.model.registry import Model

logger = logging.getLogger(__name__)

# Of SHA-256, 64 bit: of a million fields no two are alike by chance.
_DIGITS = 16


def digests(fields: Iterable[FieldFiles], hashed: Callable[[Path], str] = sha256_of) -> list[str]:
    """What tells each field's images from any others, whatever they are called and wherever they lie.

    `hashed` gives a file's SHA-256.
    """
    content = cache(partial(_content, hashed=hashed))
    found = []
    for item in fields:
        parts = {(content(file), source.scene, source.t) for source in item.sources for file, _ in source.slices}
        found.append(hashlib.sha256(repr(sorted(parts)).encode()).hexdigest()[:_DIGITS])
    return found


def _content(path: Path, hashed: Callable[[Path], str]) -> str:
    """SHA-256 of a file, or of all files of a Zarr group."""
    if not path.is_dir():
        return hashed(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    told = "".join(f"{file.relative_to(path).as_posix()} {hashed(file)}\n" for file in files)
    return hashlib.sha256(told.encode()).hexdigest()


def among(
    fields: Iterable[FieldFiles], trained_on: Iterable[str], hashed: Callable[[Path], str] = sha256_of
) -> tuple[str, ...]:
    """Names of the fields whose images' :func:`digests` are among `trained_on`."""
    fields, known = list(fields), set(trained_on)
    if not known:
        return ()
    return tuple(item.name for item, digest in zip(fields, digests(fields, hashed)) if digest in known)


def learned_from(fields: Iterable[FieldFiles], model: Model) -> tuple[str, ...]:
    """Names of the fields whose images a model was trained on; a warning says so of them."""
    fields = list(fields)
    names = among(fields, model.info.trained_on)
    if names:
        logger.warning(
            "%s was trained on %d of these %d fields, first %s: what it scores on them flatters it",
            *(model.name, len(names), len(fields), names[0]),
        )
    return names
