"""Unpacking zip archives that may be hostile or damaged, member by member, in constant memory."""

import stat
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import IO

from cellular.errors import CellularError, DownloadError
from cellular.files import whole_file
from cellular.progress import byte_progress

COPY_BLOCK = 4 << 20  # bytes; also the largest single range asked of a remote archive
MAX_RATIO = 200  # unpacked to packed; microscope images reach 3, masks about 20
SMALL = 100 << 20  # bytes unpacked; below this no ratio is dangerous
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError)


def open_zip(source: str | Path | IO[bytes], name: str | None = None) -> zipfile.ZipFile:
    """Open a zip file or file object; DownloadError where it is not a whole zip archive."""
    try:
        return zipfile.ZipFile(source)
    except FileNotFoundError as error:
        raise DownloadError(f"No such archive: {name or source}") from error
    except DAMAGE as error:
        raise DownloadError(f"{name or source} is not a whole zip archive: {error}") from error


def files_in(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Members that are files worth having: no folders, no resource forks that macOS adds."""
    return [
        member
        for member in archive.infolist()
        if not member.is_dir()
        and not member.filename.startswith("__MACOSX/")
        and not member.filename.endswith(".DS_Store")
    ]


def check_members(members: Iterable[zipfile.ZipInfo], archive_size: int, name: str) -> None:
    """Raise DownloadError for anything that no honest archive holds; nothing has been written by then.

    Refused are members that would leave the folder, links, encrypted members, two members of one name, members that
    share bytes (their packed sizes exceed the file's) and those that unpack to over 200 times their size.
    """
    packed = unpacked = 0
    seen: set[str] = set()
    for member in members:
        if reason := _refusal(member, seen):
            raise DownloadError(f"{name}: member '{member.filename}' {reason}; nothing was unpacked")
        seen.add(member.filename)
        packed += member.compress_size
        unpacked += member.file_size
    if packed > archive_size or (unpacked > SMALL and unpacked > MAX_RATIO * archive_size):
        raise DownloadError(
            f"{name} has {archive_size} bytes and claims to hold {packed} packed, {unpacked} unpacked: "
            "a zip bomb or damaged; nothing was unpacked"
        )


def _refusal(member: zipfile.ZipInfo, seen: set[str]) -> str | None:
    path = PurePosixPath(member.filename)
    if path.is_absolute() or ".." in path.parts or "\\" in member.orig_filename or ":" in member.filename:
        return "would be written outside the folder"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "is a link"
    if member.flag_bits & 0x1:
        return "is encrypted"
    if member.filename in seen:
        return "occurs twice"
    if member.file_size > SMALL and member.file_size > MAX_RATIO * max(member.compress_size, 1):
        return f"unpacks {member.compress_size} bytes to {member.file_size}, like a zip bomb"
    return None


def extract(
    archive: zipfile.ZipFile,
    targets: list[tuple[zipfile.ZipInfo, Path]],
    name: str,
    *,
    show_progress: bool = True,
) -> int:
    """Unpack each member of `targets` to its path; returns how many were written.

    A member whose file is there with the right size and CRC is passed over, so an interrupted run goes on where it
    stopped; a file gets its name only when its CRC is right.
    """
    todo = []
    with byte_progress(sum(m.file_size for m, _ in targets), f"unpack {name}", show_progress) as bar:
        for member, path in targets:  # hundreds of GB may be there, and are read
            if _is_there(member, path):
                bar.update(member.file_size)
            else:
                todo.append((member, path))
        if todo:
            from cellular.data.archive.download import check_space  # all that talks to servers: slow to import

            folder = _existing_parent(todo[0][1])
            check_space(folder, sum(member.file_size for member, _ in todo), name)
        for member, path in todo:
            _extract_one(archive, member, path, name)
            bar.update(member.file_size)
    return len(todo)


def _is_there(member: zipfile.ZipInfo, path: Path) -> bool:
    """Whether a member's file is there; images of one camera are of one size, whatever version they are of."""
    try:
        if path.stat().st_size != member.file_size:
            return False
        crc = 0
        with open(path, "rb") as file:
            while block := file.read(COPY_BLOCK):
                crc = zlib.crc32(block, crc)
    except OSError:
        return False
    return crc == member.CRC


def _existing_parent(path: Path) -> Path:
    return next(folder for folder in path.absolute().parents if folder.is_dir())


def _extract_one(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, name: str) -> None:
    try:
        with whole_file(path) as temporary, archive.open(member) as source, open(temporary, "wb") as out:
            while block := source.read(COPY_BLOCK):
                out.write(block)
    except CellularError:
        raise
    except DAMAGE as error:
        raise DownloadError(f"{name}: member '{member.filename}' is damaged: {error}") from error
