"""Images that somebody hands in through the page: checked by what they are before they lie where they are measured."""

from pathlib import Path

from cellular.data.formats.image_file import describe_image
from cellular.data.formats.suffixes import IMAGE_SUFFIXES, kind_of, suffix_of
from cellular.errors import InputError
from cellular.files import PARTIAL, writing

# Of one file and of all files handed in together, bytes; and of one file's planes together, px.
MOST_BYTES, MOST_TOGETHER, MOST_PIXELS = 1 << 28, 1 << 31, 1 << 28
MOST_FILES = 500


def keep_upload(name: str, data: bytes, folder: str | Path) -> Path:
    """Write an image called `name` into `folder`, if it is one; its path.

    Raises InputError, and writes nothing, for what is no image by its name or by its bytes, for more bytes or pixels
    than :data:`MOST_BYTES` and :data:`MOST_PIXELS` (a small file may claim a million times its size), for a name that
    is taken, and for more than :data:`MOST_FILES` or :data:`MOST_TOGETHER`.
    """
    folder, plain = Path(folder), Path(name.replace("\\", "/")).name
    if plain != name or not plain.isprintable() or plain.startswith(".") or len(plain) > 200:
        raise InputError(f"'{name[:100]}' is no plain name of a file")
    if suffix_of(plain) not in IMAGE_SUFFIXES or kind_of(plain) != "image":
        raise InputError(
            f"{plain} is no image by its name; {', '.join(IMAGE_SUFFIXES)} are taken, label images are not"
        )
    if len(data) > MOST_BYTES:
        raise InputError(
            f"{plain} has {len(data) >> 20} MiB, {MOST_BYTES >> 20} are taken; use the command line for it"
        )
    here = [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
    if len(here) >= MOST_FILES or sum(path.stat().st_size for path in here) + len(data) > MOST_TOGETHER:
        raise InputError(
            f"that is more than {MOST_FILES} files or {MOST_TOGETHER >> 30} GiB at once; begin another lot"
        )
    if any(path.name.casefold() == plain.casefold() for path in here):
        raise InputError(f"{plain} is there already")
    hidden = folder / f"{PARTIAL}{plain}"
    with writing(folder / plain):
        folder.mkdir(parents=True, exist_ok=True)
        hidden.write_bytes(data)
        try:
            _check_image(hidden, plain)
            hidden.replace(folder / plain)
        finally:
            hidden.unlink(missing_ok=True)
    return folder / plain


def _check_image(path: Path, name: str) -> None:
    """Raise InputError for what cannot be read as an image, or claims too many pixels."""
    try:
        scenes = describe_image(path)
    except InputError as error:
        raise InputError(f"{name} cannot be read as an image: {str(error).replace(str(path), name)}") from error
    for scene in scenes:
        pixels = 1
        for size in scene.sizes.values():
            pixels *= size
        if pixels > MOST_PIXELS:
            raise InputError(f"{name} claims {pixels:,} pixels, {MOST_PIXELS:,} are taken; use the command line for it")
