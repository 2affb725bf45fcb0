"""Whole files from the web: resumed after any cut, retried, verified before they get their name.

pooch decides what is verified and when a file gets its name. It does not resume: every attempt starts a new
temporary file. :class:`ResumingDownloader` plugs into pooch (it has a downloader's signature), keeps a ``.part`` file
beside the target between attempts and runs, and hands pooch the whole file only when every byte is there.
"""

import itertools
import json
import logging
import os
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pooch
import requests
import urllib3
from filelock import FileLock, Timeout

from cellular.data.archive.catalogue import WEIGHTS, WeightsRecord, address, weights_record
from cellular.errors import CellularError, DownloadError, WeightsError
from cellular.files import LOCK, read_json, sha256_of, write_json
from cellular.progress import byte_progress

logger = logging.getLogger(__name__)
pooch.get_logger().setLevel(logging.WARNING)

BLOCK = 1 << 20
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds between attempts
DISK_RESERVE = 64 << 20  # bytes that stay free on the disk
WEB_PAGE_STARTS = (b"<!do", b"<htm", b"<?xm", b"<hea", b"<bod")


class RetriableError(DownloadError):
    """A failure that may be gone at the next attempt.

    `wait` is the server's own wish, in seconds; `attempts` is how many are worth it for this kind of failure.
    """

    def __init__(self, message: str, wait: float | None = None, attempts: int = 6):
        super().__init__(message)
        self.wait, self.attempts = wait, attempts


def with_retries(action: Callable[[], Any]) -> Any:
    """Result of `action`, tried again after :class:`RetriableError` with pauses that double (with jitter).

    Where the server says how long to wait (Retry-After), it is taken at its word up to a minute.

    Raises DownloadError where it fails for good, or too often.
    """
    for attempt in itertools.count(1):
        try:
            return action()
        except RetriableError as error:
            if attempt >= error.attempts:
                raise DownloadError(f"{error} (gave up after {attempt} attempts; run again to go on)") from error
            wait = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempt - 1) if error.wait is None else error.wait)
            logger.info("%s; attempt %d of %d in %.0f s", error, attempt + 1, error.attempts, wait)
            time.sleep(wait * random.uniform(1.0, 1.25))


def fetch_file(
    url: str,
    path: str | Path,
    sha256: str | None = None,
    *,
    size: int | None = None,
    check: Callable[[Path], None] | None = None,
    show_progress: bool = True,
) -> Path:
    """Download `url` to `path` unless it is there; the file gets its name only when it is whole and verified.

    Parameters
    ----------
    sha256, size : expected hash and size in bytes; None where unknown.
    check : called with the finished file before it gets its name; raises a CellularError to refuse it.

    Raises
    ------
    DownloadError : unreachable, not there, cut too often, wrong hash or size, disk too small. A partial download
        stays as ``<path>.part`` and the next call goes on from it.
    """
    path = Path(path)
    downloader = ResumingDownloader(path, size=size, check=check, show_progress=show_progress)
    made = [folder for folder in path.parents if not folder.exists()]
    try:
        with one_at_a_time(path):
            pooch.retrieve(url, _pooch_hash(sha256), fname=path.name, path=path.parent, downloader=downloader)
    except ValueError as error:
        raise DownloadError(
            f"{url} does not have the expected SHA-256 {sha256}; what came was deleted. It may have been changed on "
            "the way or at its source: try again, and report it if it stays so"
        ) from error
    except OSError as error:
        if isinstance(error, CellularError):
            raise
        raise DownloadError(f"Cannot write {path}: {error}") from error
    except DownloadError:
        with suppress(OSError):  # of an attempt from which the next goes on they are not empty
            for folder in made:
                folder.rmdir()
        raise
    os.chmod(path, 0o644)
    return path


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Let one command at a time bring `path`; the others wait, and then find it there.

    Two that write to one part file leave a hole in it, where one cut off what the other had just written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f"{LOCK}-{path.name}"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.warning("%s is being downloaded by another command; waiting for it", path)
        lock.acquire()
    try:
        yield
    finally:
        with suppress(OSError):  # while it is held: afterwards it may be another's
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _pooch_hash(sha256: str | None) -> str | None:
    return None if sha256 is None else f"sha256:{sha256}"


class ResumingDownloader:
    """A pooch downloader that goes on where the last attempt stopped, even one of an earlier run.

    Beside ``<target>.part`` lies ``<target>.part.json`` with the server's ETag, or the file's date, and total length: a
    file that changed at its source is not patched together from two versions. Where neither is told it starts over.
    """

    def __init__(
        self,
        target: Path,
        *,
        size: int | None = None,
        check: Callable[[Path], None] | None = None,
        show_progress: bool = True,
        timeout: float = 60.0,
    ):
        self.part = target.with_name(target.name + ".part")
        self.note = target.with_name(target.name + ".part.json")
        self.size, self.check, self.show_progress = size, check, show_progress
        self.timeout = timeout

    def __call__(self, url: str, output_file: str, pooch_object: Any) -> None:
        """Fetch `url` into `output_file`, the temporary file that pooch verifies."""
        with_retries(lambda: self._attempt(url))
        self.note.unlink(missing_ok=True)
        try:
            if self.size is not None and self.part.stat().st_size != self.size:
                raise DownloadError(f"{url} has {self.part.stat().st_size} bytes, expected {self.size}; it was deleted")
            if self.check is not None:
                self.check(self.part)
            os.replace(self.part, output_file)
        finally:
            self.part.unlink(missing_ok=True)

    def _attempt(self, url: str) -> None:
        """One connection: append what comes to the part file; return when the file is whole, else raise."""
        have, version, known_total = self._resume_state()
        headers = {"Accept-Encoding": "identity"}  # a compressed transfer could not be resumed by byte
        if have:
            headers["Range"] = f"bytes={have}-"
            headers["If-Range"] = version
        try:
            with _connect(url, headers, self.timeout) as response:
                start, total = _placement(response, url, have)
                now = _version(response)
                other = response.status_code == 206 and now != version  # a server that knows no If-Range
                if response.status_code == 416 or (
                    have and (other or (known_total and total and total != known_total))
                ):
                    if response.status_code == 416 and have and have == total and known_total in (None, total):
                        return
                    self._start_over()
                    raise RetriableError(f"{url} changed at its source; starting over", wait=0)
                write_json(self.note, {"version": now, "total": total})
                self._receive(response, url, start, total)
        except (urllib3.exceptions.HTTPError, ConnectionError, TimeoutError) as error:
            raise RetriableError(f"{url}: connection lost ({type(error).__name__})") from error

    def _receive(self, response: requests.Response, url: str, start: int, total: int | None) -> None:
        if total is not None:
            check_space(self.part.parent, total - start, url)
        bar = byte_progress(total, self.part.stem, self.show_progress, start)
        with open(self.part, "r+b" if start else "wb") as file, bar:
            file.seek(start)
            file.truncate()
            # read1 hands over what has come; read would wait for a full block and lose it when the line is cut
            while block := response.raw.read1(BLOCK):
                file.write(block)
                bar.update(len(block))
            received = file.tell()
        if total is not None and received != total:
            raise RetriableError(f"{url}: connection cut at {received} of {total} bytes")

    def _resume_state(self) -> tuple[int, str, int | None]:
        """Bytes that are there, of which version, of how many; 0 where it is not told what they are of."""
        try:
            note = json.loads(self.note.read_text())
            if note["version"]:
                return self.part.stat().st_size, note["version"], note["total"]
        except (OSError, ValueError, KeyError, TypeError):
            pass
        self._start_over()
        return 0, "", None

    def _start_over(self) -> None:
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def _version(response: requests.Response) -> str | None:
    """What tells the file from another of its name: its ETag, else its date; None where the server says neither."""
    tag = response.headers.get("ETag")
    if tag and not tag.startswith("W/"):  # a weak tag does not promise the same bytes
        return tag
    return response.headers.get("Last-Modified")


def _connect(url: str, headers: dict[str, str], timeout: float) -> requests.Response:
    try:
        return requests.get(url, headers=headers, stream=True, timeout=timeout)
    except requests.RequestException as error:
        reason = getattr(error.args[0] if error.args else error, "reason", error)
        raise RetriableError(f"{url} cannot be reached ({type(reason).__name__})", attempts=3) from error


def _placement(response: requests.Response, url: str, have: int) -> tuple[int, int | None]:
    """First byte that `response` carries and the file's total length; an error status raises."""
    status = response.status_code
    content_range = response.headers.get("Content-Range", "")
    match = re.match(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", content_range)
    total = int(match[2]) if match and match[2] != "*" else None
    if status in (429, 500, 502, 503, 504, 408):
        raise RetriableError(
            f"{url}: the server answered {status}", wait=retry_after(response.headers.get("Retry-After"))
        )
    if status == 416:
        return 0, total
    if status == 206:
        start = int(match[1]) if match and match[1] else None
        if start != have:
            raise DownloadError(f"{url}: asked for bytes from {have}, the server sent '{content_range}'")
        return have, total
    if status == 200:
        length = response.headers.get("Content-Length")
        return 0, int(length) if length and length.isdigit() else None
    raise DownloadError(
        f"{url}: the server answered {status} {response.reason}"
        + ("; nothing is at this address (any more)" if status in (404, 410) else "")
    )


def retry_after(value: str | None) -> float | None:
    """Seconds in a Retry-After header, which holds a number or a date; None where it holds neither."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(timezone.utc)).total_seconds())
    except (ValueError, TypeError):
        return None


def check_space(folder: Path, needed: int, what: str) -> None:
    """Raise DownloadError where `folder`'s disk has not `needed` bytes (and a small reserve) free."""
    free = shutil.disk_usage(folder).free
    if needed + DISK_RESERVE > free:
        raise DownloadError(
            f"{what} needs {needed / 1e9:.2f} GB more in {folder}, which has {free / 1e9:.2f} GB free; "
            "make room or choose another folder with --out"
        )


def cache_folder() -> Path:
    """Folder for downloaded models: the environment variable CELLULAR_CACHE, else ``~/.cache/cellular``."""
    return Path(os.environ.get("CELLULAR_CACHE") or Path.home() / ".cache" / "cellular").expanduser()


def weights_folders() -> list[Path]:
    """Where weights are looked for, in this order: our cache, CELLPOSE_LOCAL_MODELS_PATH, ``~/.cellpose/models``."""
    cellpose = os.environ.get("CELLPOSE_LOCAL_MODELS_PATH")
    own = [Path(cellpose).expanduser()] if cellpose else []
    return [cache_folder() / "models", *own, Path.home() / ".cellpose" / "models"]


def find_weights(name: str) -> Path | None:
    """File of the weights called `name` if it is on this machine, else None. WeightsError for an unknown name."""
    return _find(weights_record(name).file_name)


def _find(file_name: str) -> Path | None:
    return next((folder / file_name for folder in weights_folders() if (folder / file_name).is_file()), None)


def fetch_weights(name: str, progress: bool = True) -> Path:
    """File of the weights called `name`, downloaded into the cache unless it is on this machine.

    The file's SHA-256 is recorded at first use (``<cache>/models/<file>.json``) and checked ever after.
    Raises WeightsError for an unknown name, a failed download and a file that is not the one first used.
    """
    record = weights_record(name)
    return _fetch(record, record.url, record.file_name, progress)


def fetch_size_model(name: str, progress: bool = True) -> Path | None:
    """File of Cellpose's size model that goes with weights `name`, fetched like them; None where there is none."""
    record = weights_record(name)
    if record.size_url is None:
        return None
    return _fetch(record, record.size_url, record.size_url.rsplit("/", 1)[-1], progress)


def _fetch(record: WeightsRecord, url: str, file_name: str, show_progress: bool) -> Path:
    path = _find(file_name)
    if path is None:
        url, target = address(url), weights_folders()[0] / file_name
        try:
            path = fetch_file(url, target, check=lambda part: refuse_web_page(part, url), show_progress=show_progress)
        except DownloadError as error:
            raise WeightsError(
                f"Weights '{record.name}' are not on this machine and could not be downloaded: {error}. "
                f"To do it by hand, save {url} as {target}"
            ) from error
    expected = record.sha256 if file_name == record.file_name else None
    _check_recorded_hash(path, url, expected)
    return path


def refuse_web_page(path: Path, url: str) -> None:
    """Raise DownloadError where the file is an HTML page: what a server sends when it has an excuse, not a file."""
    with open(path, "rb") as file:
        if file.read(512).lstrip().lower().startswith(WEB_PAGE_STARTS):
            raise DownloadError(f"{url} gave a web page, not the file")


def recorded_hash(file_name: str) -> str | None:
    """SHA-256 recorded when the weights file `file_name` was first used; None before that."""
    note = weights_folders()[0] / f"{file_name}.json"
    return read_json(note)["sha256"] if note.is_file() else None


def list_weights() -> list[dict[str, str | None]]:
    """A row for every known model; `path` is None where it is not here, `sha256` before its first use."""
    return [
        {
            "name": record.name,
            "path": str(path) if (path := _find(record.file_name)) else None,
            "url": address(record.url),
            "sha256": record.sha256 or recorded_hash(record.file_name),
            "licence": record.licence,
            "citation": record.citation,
        }
        for record in WEIGHTS.values()
    ]


def _check_recorded_hash(path: Path, url: str, expected: str | None) -> None:
    note = weights_folders()[0] / f"{path.name}.json"
    found = sha256_of(path)
    known = expected or recorded_hash(path.name)
    if known is None:
        first_use = datetime.now(timezone.utc).isoformat(timespec="seconds")
        try:
            write_json(note, {"sha256": found, "bytes": path.stat().st_size, "url": url, "first_use": first_use})
        except OSError as error:
            raise WeightsError(
                f"Cannot record the hash of {path} in {note}: {error.strerror}; set CELLULAR_CACHE to a folder of yours"
            ) from error
    elif known != found:
        raise WeightsError(
            f"{path} is not the file first used under this name: SHA-256 {found}, recorded {known} in {note}. "
            "Delete the weights to fetch them again, or the record if you changed them on purpose"
        )
