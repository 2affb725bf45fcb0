"""A plate in parts for job arrays: each job does every n-th field, `cellular gather` joins what they made.

While shards are at work each holds a lock of its own in the output folder, so several may be there at once, and the
whole command may not. What a shard did lies in ``.shards/<i>-of-<n>.json`` of its home until it is joined.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from cellular.errors import InputError, OutputError, OutputExistsError, SettingsError
from cellular.files import LOCK, part_lock, parts_at_work, read_json, write_json
from cellular.jobs.engines import HERE, Engine, Outcome

# Hidden: what can be seen in an output of prepare is a folder a class.
FOLDER, COMMAND = ".shards", "command.json"
# How long a shard waits for others that are just coming in, s.
PATIENCE_S = 60


@dataclass(frozen=True)
class Command:
    """What a shard was told: its command line, and the folder that it was given in."""

    arguments: list[str]
    folder: Path


@dataclass(frozen=True)
class Shard:
    """Every `count`-th item from the `index`-th on (1 to `count`), done by the engine `inner`; nothing is joined.

    With the `command` that asked for it, `cellular gather` can run the rest.

    Attributes
    ----------
    home : folder that keeps what shards did; None for where the tables of the items are.
    """

    index: int
    count: int
    inner: Engine = HERE
    command: Command | None = None
    home: Path | None = None

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def __enter__(self) -> "Shard":
        self.inner.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self.inner.__exit__(*exception)

    def part(self, items: Sequence[Any]) -> Sequence[Any]:
        """The items that are this shard's."""
        return items[self.index - 1 :: self.count]

    def run(self, do: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Outcome]]:
        """See :class:`cellular.jobs.engines.Engine`."""
        return self.inner.run(do, items)


@dataclass(frozen=True)
class Gather:
    """Nothing is done any more: what shards have done is joined; with `partial` even where something is missing.

    `home` as of :class:`Shard`.
    """

    partial: bool = False
    inner: Engine = HERE
    home: Path | None = None

    def __enter__(self) -> "Gather":
        self.inner.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self.inner.__exit__(*exception)

    def run(self, do: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Outcome]]:
        """See :class:`cellular.jobs.engines.Engine`; for what is not one of the fields."""
        return self.inner.run(do, items)


def for_the_rest(engine: Engine) -> Engine:
    """The engine of what comes after the fields: all of it is done in one place."""
    return engine.inner if isinstance(engine, Shard | Gather) else engine


def parse_shard(text: str) -> tuple[int, int]:
    """Read ``I/N``.

    >>> parse_shard("3/16")
    (3, 16)
    """
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal()):
        raise SettingsError(f"a shard is I/N, such as 3/16, got '{text}'")
    if not 1 <= int(index) <= int(count):
        raise SettingsError(f"a shard is I/N with I from 1 to N, got {text}")
    return int(index), int(count)


def write_command(out: Path, shard: Shard) -> None:
    """Keep for `cellular gather` what the shard was told."""
    if shard.command:
        told = {"arguments": shard.command.arguments, "folder": str(shard.command.folder)}
        write_json(out / FOLDER / COMMAND, told)


def write_part(out: Path, shard: Shard, names: Sequence[str], problems: Mapping[str, str]) -> None:
    """Keep what the shard did for :func:`check_whole`."""
    write_json(_file(out, shard), {"done": list(names), "problems": dict(problems)})


def _file(out: Path, shard: Shard) -> Path:
    return out / FOLDER / f"{shard.index}-of-{shard.count}.json"


def problems_of(out: Path) -> dict[str, str]:
    """What the shards of `out` passed over, and why, by name."""
    return {
        name: text
        for path in sorted((out / FOLDER).glob("*-of-*.json"))
        for name, text in read_json(path)["problems"].items()
    }


def check_whole(out: Path, missing: Sequence[str], partial: bool) -> dict[str, str]:
    """Problems for the `missing` items; InputError, saying what is to be run, unless `partial`."""
    if not missing:
        return {}
    parts = {path.stem: read_json(path) for path in (out / FOLDER).glob("*-of-*.json")}
    counts = {int(name.partition("-of-")[2]) for name in parts}
    absent = [f"{i}/{n}" for n in sorted(counts) for i in range(1, n + 1) if f"{i}-of-{n}" not in parts]
    if not partial:
        what = f"shard {', '.join(absent)} has not finished" if absent else "no shard has done them"
        first = ", ".join([*missing[:3], *(["..."] if len(missing) > 3 else [])])
        raise InputError(
            f"{out}: {len(missing)} are missing ({first}): {what}; run that again, or join what is there with --partial"
        )
    return dict.fromkeys(missing, "no shard has done it")


@contextmanager
def beside_others(out: Path, shard: Shard, check: Callable[[bool], None]) -> Iterator[Path]:
    """`out` for this shard, beside the other shards of the same count, and for nobody else.

    `check` is called when nobody else can come in, and told whether other shards are at work; it may raise and write.
    Raises OutputExistsError where the whole command, the same shard or shards of another count are at work.
    """
    if out.exists() and not out.is_dir():
        raise OutputExistsError(f"{out} is a file; choose another output folder")
    name = f"{shard.index}-of-{shard.count}"
    door, own = FileLock(out / LOCK), part_lock(out, name)
    try:
        out.mkdir(parents=True, exist_ok=True)
        door.acquire(timeout=PATIENCE_S)
    except Timeout as error:
        raise OutputExistsError(
            f"{out} is being written by another command; wait for it, or choose another output folder"
        ) from error
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror or error}") from error
    try:
        others = parts_at_work(out)
        if strangers := [other for other in others if other == name or not other.endswith(f"-of-{shard.count}")]:
            raise OutputExistsError(f"{out}: shard {strangers[0].replace('-of-', '/')} is at work there; wait for it")
        check(bool(others))
        own.acquire(timeout=0)
    finally:
        door.release()
    try:
        yield out
    finally:
        with suppress(OSError):
            Path(own.lock_file).unlink(missing_ok=True)
        own.release()
