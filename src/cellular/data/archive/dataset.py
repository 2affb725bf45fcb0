"""The CELLULAR archives as folders on disk: whole archives, or single fields out of the remote 105 GB one."""

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast
from urllib.parse import urlsplit
from zipfile import ZipFile, ZipInfo

import aiohttp
import fsspec

from cellular.data.archive.catalogue import Archive, address, find_archive
from cellular.data.archive.download import (
    RetriableError,
    fetch_file,
    one_at_a_time,
    refuse_web_page,
    retry_after,
    with_retries,
)
from cellular.data.archive.remote_zip import check_members, extract, files_in, open_zip
from cellular.data.fields import split_channel
from cellular.errors import DownloadError, InputError, OutputExistsError
from cellular.files import read_json, sha256_of, write_json

DATASET_FOLDERS = ("images", "images-color", "masks")
READ_AHEAD = 1 << 16  # bytes fetched beyond each range: a member's header and its first bytes come in one request
RETRIABLE_STATUS = (408, 429, 500, 502, 503, 504)


def fetch_archive(name: str, out: str | Path, *, keep_archive: bool = False, show_progress: bool = True) -> Path:
    """Download archive `name` of the catalogue and unpack it under `out`; returns the folder it fills.

    Both halves go on where an earlier run stopped. A receipt (``.cellular-<name>.json``: address, SHA-256, files) is
    written last; where it is there and the files are too, nothing is fetched. Without `keep_archive` the zip is
    removed once all of it is unpacked. Of two commands at once the second waits for the first.

    Raises DownloadError, OutputExistsError where the receipt is of another version of the archive.
    """
    with one_at_a_time(Path(out) / name):
        return _fetch_archive(find_archive(name), Path(out), keep_archive, show_progress)


def _fetch_archive(record: Archive, out: Path, keep_archive: bool, show_progress: bool) -> Path:
    receipt = out / f".cellular-{record.name}.json"
    url = address(record.url)
    if _is_complete(receipt, out, record, url):
        return out / record.name
    path = fetch_file(
        url,
        out / PurePosixPath(url).name,
        record.sha256,
        size=record.size,
        check=lambda part: _check_zip(part, url),
        show_progress=show_progress,
    )
    with open_zip(path) as archive:
        members = files_in(archive)
        check_members(members, path.stat().st_size, path.name)
        targets = [(member, member_path(record, member, out)) for member in members]
        extract(archive, targets, path.name, show_progress=show_progress)
    write_json(receipt, _receipt(record, url, path, [target.relative_to(out).as_posix() for _, target in targets]))
    if not keep_archive:
        path.unlink()
    return out / record.name


def _check_zip(part: Path, url: str) -> None:
    refuse_web_page(part, url)
    with open_zip(part, url):
        pass


def _receipt(record: Archive, url: str, path: Path, files: list[str]) -> dict:
    return {
        "archive": record.name,
        "url": url,
        "sha256": sha256_of(path),
        "bytes": path.stat().st_size,
        "licence": record.licence,
        "citation": record.citation,
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "files": files,
    }


def _is_complete(receipt: Path, out: Path, record: Archive, url: str) -> bool:
    """Whether all is there. Raises OutputExistsError for another version: files of one size would be taken for new."""
    if not receipt.is_file():
        return False
    told = read_json(receipt)
    # a mirror keeps the path, and a record's version is in it
    if urlsplit(told["url"]).path != urlsplit(url).path or record.sha256 not in (None, told["sha256"]):
        raise OutputExistsError(
            f"{out} holds {record.name} of another version ({told['url']}, SHA-256 {told['sha256']}), not that of "
            f"{url}; choose another --out, or delete its folder {record.name} and {receipt.name}"
        )
    return all((out / file).is_file() for file in told["files"])


def member_path(record: Archive, member: ZipInfo, out: Path) -> Path:
    """Where a member goes: ``masks/…`` and ``images/…`` as they are, anything else below the archive's own name."""
    parts = PurePosixPath(member.filename).parts
    return out.joinpath(*parts) if parts[0] in DATASET_FOLDERS else out.joinpath(record.name, *parts)


def fetch_fields(
    out: str | Path,
    patterns: Iterable[str] = (),
    *,
    annotated: bool = False,
    shard: tuple[int, int] = (1, 1),
    show_progress: bool = True,
) -> list[str]:
    """Fetch single fields' images out of the remote archive by HTTP ranges; returns the names of the fields.

    Parameters
    ----------
    out : folder that receives ``images/<field>_w1.TIF`` and so on.
    patterns : shell patterns of field names, e.g. ``*_C03_*``.
    annotated : take the fields that have masks: those under ``<out>/masks`` if it is there, else those that the
        remote masks archive lists (its table of contents is read, not the masks).
    shard : (i, n): of these fields every n-th from the i-th on, in order of their names, over one connection.

    Raises
    ------
    DownloadError : the server is unreachable, cannot serve ranges or cuts too often. Whole files stay, and the next
        call goes on after them.
    InputError : no field matches.
    """
    out, record, patterns = Path(out), find_archive("images"), list(patterns)
    names = annotated_fields(out) if annotated else set()
    with remote_zip(record) as (archive, size):
        members = [m for m in files_in(archive) if _is_wanted(field_of(m), names, patterns)]
        if not members:
            raise InputError(f"No field of {record.name} matches {patterns or 'the fields that have masks'}")
        check_members(members, size, record.name)
        mine = sorted({field_of(member) for member in members})[shard[0] - 1 :: shard[1]]
        chosen = set(mine)
        targets = [(member, member_path(record, member, out)) for member in members if field_of(member) in chosen]
        extract(archive, targets, record.name, show_progress=show_progress)
    return mine


def _is_wanted(field: str, names: set[str], patterns: list[str]) -> bool:
    return field in names or any(fnmatchcase(field, pattern) for pattern in patterns)


def field_of(member: ZipInfo) -> str:
    """Field name of an image member: its file name without channel and ending."""
    return split_channel(PurePosixPath(member.filename).stem)[0]


def annotated_fields(out: Path) -> set[str]:
    """Names of the fields that have masks, from ``<out>/masks`` or else from the remote archive's table of contents."""
    if (out / "masks").is_dir():
        return {entry.name for entry in os.scandir(out / "masks") if entry.is_dir()}
    with remote_zip(find_archive("masks")) as (archive, _):
        # <field>/<class>/<cell>.png, below masks/ or not
        return {
            PurePosixPath(member.filename).parts[-3] for member in files_in(archive) if member.filename.count("/") > 1
        }


@contextmanager
def remote_zip(record: Archive) -> Iterator[tuple[ZipFile, int]]:
    """Remote archive, read by HTTP ranges with retries: the open zip and its size in bytes.

    Raises DownloadError where it cannot be reached, or not be read in parts.
    """
    url = address(record.url)
    system = fsspec.filesystem("http", skip_instance_cache=True)
    opened = _patiently(lambda: system.open(url, block_size=READ_AHEAD, cache_type="readahead"), url)
    if not opened.seekable():
        raise DownloadError(f"{url}: this server cannot send parts of a file; download the whole archive instead")
    with opened, open_zip(cast("IO[bytes]", _PatientFile(opened, url)), url) as archive:
        yield archive, opened.size


class _PatientFile:
    """A remote file whose reads are tried again; a read that fails leaves fsspec's position where it was."""

    def __init__(self, file: Any, url: str):
        self.file, self.url = file, url
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, length: int = -1) -> bytes:
        return _patiently(lambda: self.file.read(length), self.url)


def _patiently(action: Callable[[], Any], url: str) -> Any:
    return with_retries(lambda: _once(action, url))


def _once(action: Callable[[], Any], url: str) -> Any:
    """Run `action`; what may be gone at the next attempt comes out as RetriableError."""
    try:
        return action()
    except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
        # fsspec wraps whatever goes wrong with its first question in FileNotFoundError
        wrapped = error.__cause__ if isinstance(error, FileNotFoundError) else None
        raise _translated(wrapped or error, url) from (wrapped or error)


def _translated(error: BaseException, url: str) -> DownloadError:
    if isinstance(error, aiohttp.ClientResponseError):
        message = f"{url}: the server answered {error.status} {error.message}"
        if error.status in RETRIABLE_STATUS:
            wait = error.headers.get("Retry-After") if error.headers else None
            return RetriableError(message, wait=retry_after(wait))
        return DownloadError(message)
    if isinstance(error, aiohttp.ClientConnectorError):
        return RetriableError(f"{url} cannot be reached ({type(error).__name__})", attempts=3)
    return RetriableError(f"{url}: connection lost ({type(error).__name__})")
