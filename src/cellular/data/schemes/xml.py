"""Elements of large XML files, one at a time, whatever their namespace."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

from cellular.errors import InputError


def local(name: str) -> str:
    """A tag's or an attribute's name without its namespace."""
    return name.rpartition("}")[2]


def elements(file: Path, *tags: str) -> Iterator[tuple[str, dict[str, str], str]]:
    """Tag, values and text of every element of `tags`.

    The values are its attributes, then its children's attributes and texts, by local name. Elements are dropped once
    read, so an index of 100,000 images takes no memory.

    Raises InputError, naming the file, where it is no XML.
    """
    try:
        for _, element in ElementTree.iterparse(file):
            if local(element.tag) in tags:
                values = {local(key): value for key, value in element.attrib.items()}
                for child in element:
                    values[local(child.tag)] = (child.text or "").strip()
                yield local(element.tag), values, (element.text or "").strip()
                element.clear()
    except ElementTree.ParseError as error:
        raise InputError(f"{file} is not readable XML: {error}; mend it, or move it away to do without") from error


def size_um(text: str | None, file: Path, factor: float = 1.0) -> float | None:
    """A pixel's side in µm from `text` times `factor`; None where there is none. InputError where it is no length."""
    if not text:
        return None
    try:
        size = round(float(text) * factor, 6)
    except ValueError:
        size = 0.0
    if not 0 < size < float("inf"):
        raise InputError(f"{file} gives '{text}' as the size of a pixel; mend it, or move the file away")
    return size
