"""Doing the same to every field, or series: claim the output, skip what is unchanged, pass over what fails, join.

Every job goes through :func:`each`. What a job adds is the work on one item; how it is kept, resumed and put together
is here, and only here.
"""

import json
import logging
import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa

from cellular.data.formats.image_file import files_behind
from cellular.data.plate import FieldFiles, Plate
from cellular.errors import InputError, OutputExistsError, PartDone
from cellular.files import alone_in, is_leftover, read_json, sha256_of, write_csv, write_json
from cellular.jobs.engines import HERE, Engine, Outcome
from cellular.jobs.shards import Gather, Shard, beside_others, check_whole, problems_of, write_command, write_part
from cellular.progress import progress
from cellular.tables import read_written, to_frame, together

logger = logging.getLogger(__name__)

# Tables of each item, and the record that says of what files they were made; the record is written last.
ITEMS = "fields"
RECORD = "made_of.json"


class Item(Protocol):
    """What is done one by one: a field, or a series of them. `name` is unique and a file name."""

    @property
    def name(self) -> str:
        """Unique, and a file name."""


def nothing(item: Item) -> tuple[Path, ...]:
    """The outputs of work that writes nothing besides its tables."""
    return ()


def no_more(item: Item) -> Any:
    """What is known of an item whose result depends on its files alone."""
    return None


@dataclass(frozen=True)
class Work:
    """What to do to one item; it may travel to other processes, so its functions are such as can be pickled.

    Attributes
    ----------
    do : the work: writes its own files, whole or not at all, and returns the item's tables by name.
    inputs : files that the result depends on; it is made again once one has changed in size or date.
    outputs : files that `do` writes besides its tables; made again once one is gone.
    known : what else the result depends on, neither in the files nor in the claimed settings, as JSON; made again once
        it is another.
    """

    do: Callable[[Any], Mapping[str, pd.DataFrame]]
    inputs: Callable[[Any], Sequence[Path]]
    outputs: Callable[[Any], Sequence[Path]] = nothing
    known: Callable[[Any], Any] = no_more

    def is_done(self, item: Any, folder: Path) -> bool:
        """Whether `folder` holds the item's whole result, see :func:`is_done`."""
        begun = (folder / RECORD).is_file()  # of others the files need not be looked up, nor be readable
        return begun and is_done(folder, self.inputs(item), self.outputs(item), self.known(item))


class Joined(Mapping[str, pd.DataFrame]):
    """The tables of the named items put together, each when it is asked for; one without a row keeps its columns."""

    def __init__(self, out: Path, names: Iterable[str]) -> None:
        self.files: dict[str, list[Path]] = {}
        for folder in (out / ITEMS / name for name in names):
            for name in _record_of(folder)["tables"]:
                self.files.setdefault(name, []).append(folder / f"{name}.csv")

    def __getitem__(self, name: str) -> pd.DataFrame:
        return to_frame(together(self.parts(name))) if self.files[name] else pd.DataFrame()

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)

    def parts(self, name: str) -> Iterator[pa.Table]:
        """A table item by item: all of it need not be in memory."""
        return map(read_written, self.files[name])


@dataclass(frozen=True)
class Done:
    """What :func:`each` did.

    Attributes
    ----------
    tables : of all items together, in the order of the items; read when they are asked for.
    problems : name of an item that was passed over -> why.
    names : the items that have a result, earlier runs' included.
    """

    tables: Joined
    problems: dict[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()


@contextmanager
def claimed(
    out: str | Path, job: str, record: Mapping[str, Any], engine: Engine = HERE, kept: Sequence[str] = ()
) -> Iterator[Path]:
    """`out` as the output of `job` with this `record` of settings, for the time of the block, and for nobody else.

    ``out/<job>.json`` holds the record. Leftovers of a killed run are swept. A folder in which no
    item is finished, nor any of the files `kept` there, stands for nothing yet and may be claimed anew. Shards of the
    same record may be there together.

    Raises OutputExistsError where `out` is a file, holds something else, was begun with another record, or is being
    written by another process.
    """
    out = Path(out)
    wanted = json.loads(json.dumps(record, default=str))
    _check_claim(out, job, wanted, kept)

    def claim(shared: bool = False) -> None:
        _check_claim(out, job, wanted, kept, shared)
        if not shared:
            write_json(out / f"{job}.json", wanted)

    with held(out, engine, claim):
        yield out


@contextmanager
def held(out: str | Path, engine: Engine = HERE, check: Callable[[bool], None] = lambda shared: None) -> Iterator[Path]:
    """`out` for this command alone, or for a shard beside the others of its count.

    `check` is called once nobody else can come in, and told whether other shards are at work; it may raise and write.
    """
    out = Path(out)
    if isinstance(engine, Shard):
        with beside_others(out, engine, check):
            yield out
        return
    with alone_in(out):
        check(False)
        yield out


def _check_claim(
    out: Path, job: str, wanted: Mapping[str, Any], kept: Sequence[str] = (), shared: bool = False
) -> None:
    """Raise OutputExistsError for an `out` of something else; `shared`: others are at work by the record there."""
    path = out / f"{job}.json"
    others = [entry for entry in out.iterdir() if entry != path and not is_leftover(entry)] if out.is_dir() else []
    if others and not path.is_file():
        raise OutputExistsError(f"{out} is in use and was not made by this command; choose another output folder")
    begun = shared or finished(out) or any((out / name).is_file() for name in kept)
    if begun and (made := _claim_of(path)) != wanted:
        raise OutputExistsError(
            f"{out} was begun with other settings ({_difference(made, wanted)}); choose another output folder"
        )


def _claim_of(path: Path) -> Any:
    try:
        return read_json(path)
    except InputError as error:
        raise OutputExistsError(
            f"{error}: so it is not known with which settings {path.parent} was begun; delete that folder, or choose "
            "another output folder"
        ) from error


def _difference(made: Any, wanted: Mapping[str, Any]) -> str:
    """The first few settings that differ, each by itself: of ``measure`` ``measure.puncta.looks`` alone."""
    if not isinstance(made, dict):
        return "its record is of another kind"
    return "; ".join(list(_differences(made, wanted))[:3])


def _differences(made: Any, wanted: Any, name: str = "") -> Iterator[str]:
    if isinstance(made, Mapping) and isinstance(wanted, Mapping):
        for key in dict.fromkeys((*made, *wanted)):
            yield from _differences(made.get(key), wanted.get(key), f"{name}.{key}" if name else str(key))
    elif made != wanted:
        yield f"{name} was {made!r}, now {wanted!r}"


def each(
    items: Sequence[Item], out: Path, work: Work, *, desc: str, unit: str = "field", engine: Engine = HERE
) -> Done:
    """Do `work` to each of `items`, into ``out``; what is there already, of the same files, is kept.

    An item whose work raises a :class:`CellularError` is passed over and named; a disk that cannot be written to and
    other errors stop the run, which the same call continues. Tables lie in ``out/fields/<name>/<table>.csv``, the same
    whatever the engine.

    Raises PartDone at the end of a shard, InputError where something is missing when shards are gathered.
    """
    if isinstance(engine, Gather):
        return _gathered(items, out, work, engine)
    mine = items
    if isinstance(engine, Shard):
        mine = engine.part(items)
        home = engine.home or out
        write_command(home, engine)
    results, problems = attempt(mine, partial(do_one, out=out, work=work), desc=desc, unit=unit, engine=engine)
    if isinstance(engine, Shard):
        write_part(home, engine, list(results), problems)
        raise PartDone(f"shard {engine}: {len(results)} done in {out}; cellular gather {home} joins all", problems)
    return Done(Joined(out, results), problems, tuple(results))


def _gathered(items: Sequence[Item], out: Path, work: Work, engine: Gather) -> Done:
    """What shards have made of the items."""
    home = engine.home or out
    names: list[str] = []
    missing: list[str] = []
    told = problems_of(home)
    for item in items:
        there = work.is_done(item, out / ITEMS / item.name)
        (names if there else missing).append(item.name)
    problems = {name: told[name] for name in missing if name in told}
    problems |= check_whole(home, [name for name in missing if name not in told], engine.partial)
    return Done(Joined(out, names), {name: problems[name] for name in missing}, tuple(names))


def attempt(
    items: Sequence[Item], do: Callable[[Any], Any], *, desc: str, unit: str = "field", engine: Engine = HERE
) -> tuple[dict[str, Any], dict[str, str]]:
    """Results of `do` by name of item, with progress; and, by name, what was passed over and why.

    For what is quick and kept in memory; :func:`each` keeps results on disk.
    """
    came: dict[int, Outcome] = {}
    # An engine's run is a generator: closed, it sends its workers home.
    outcomes: Any = engine.run(do, items)
    with closing(outcomes), progress(total=len(items), desc=desc, unit=unit) as bar:
        for number, outcome in outcomes:
            came[number] = outcome
            bar.update()
    in_order = [(items[number].name, came[number]) for number in sorted(came)]
    results = {name: outcome.value for name, outcome in in_order if outcome.problem is None}
    return results, {name: outcome.problem for name, outcome in in_order if outcome.problem is not None}


def each_field(plate: Plate, out: Path, work: Work, *, desc: str, engine: Engine = HERE) -> Done:
    """:func:`each` over the fields of a plate; InputError where none of them could be done."""
    done = each(plate.fields, out, work, desc=desc, engine=engine)
    if not done.names:
        first = next(iter(done.problems.values()), "there are none")
        raise InputError(f"No field could be done ({desc}); first problem: {first}")
    return done


def do_one(item: Item, out: Path, work: Work) -> None:
    """Do one item, unless its result is there."""
    folder = out / ITEMS / item.name
    if work.is_done(item, folder):
        return
    inputs = work.inputs(item)
    (folder / RECORD).unlink(missing_ok=True)
    before = _listing(inputs)
    tables = work.do(item)
    for old in folder.glob("*.csv"):
        if old.stem not in tables:
            old.unlink()
    for name, table in tables.items():
        write_csv(folder / f"{name}.csv", table)
    if _listing(inputs) != before:
        raise InputError(f"{item.name}: its files changed while they were read; run the same command again")
    made = {name: sha256_of(folder / f"{name}.csv") for name in sorted(tables)}
    told = {"inputs": before, "known": work.known(item), "tables": sorted(tables), "sha256": made}
    write_json(folder / RECORD, told)


def is_done(folder: Path, inputs: Sequence[Path], outputs: Sequence[Path] = (), known: Any = None) -> bool:
    """Whether `folder` holds the whole result of just these files and of what is `known` besides.

    None of the files has changed in size or date since, nor a table in what it holds.
    """
    if not (folder / RECORD).is_file() or not all(out.is_file() for out in outputs):
        return False
    try:
        record = _record_of(folder)
    except InputError as error:
        logger.warning("%s; %s is done again", error, folder.name)
        return False
    tables = {name: folder / f"{name}.csv" for name in record["tables"]}
    known = json.loads(json.dumps(known))
    there = all(table.is_file() for table in tables.values())
    if not there or record["known"] != known or record["inputs"] != _listing(inputs):
        return False
    changed = [table for name, table in tables.items() if record["sha256"][name] != sha256_of(table)]
    if changed:
        logger.warning("%s was changed since it was made; %s is done again", changed[0], folder.name)
    return not changed


def forget_others(out: Path, names: Collection[str], made: Callable[[str], Path]) -> None:
    """Delete what earlier runs `made` of the items that are not among `names`, and their records in `out`."""
    for folder in (out / ITEMS).glob("*"):
        if folder.name not in names:
            made(folder.name).unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)


def inputs_of(folder: Path) -> list[Path]:
    """The files that the result in `folder` was made of."""
    return [Path(path) for path, *_ in _record_of(folder)["inputs"]]


def _record_of(folder: Path) -> dict[str, Any]:
    record = read_json(folder / RECORD)
    # Half a record vouches for nothing.
    whole = isinstance(record, dict) and set(record) == {"inputs", "known", "tables", "sha256"}
    if not whole or not isinstance(record["sha256"], dict) or sorted(record["sha256"]) != record["tables"]:
        raise InputError(f"{folder / RECORD} is damaged, or of an earlier version; delete {folder} and run again")
    return record


def _listing(inputs: Iterable[Path]) -> list[list[Any]]:
    """Where each file really is, its size and date; a folder of many files is looked up once."""
    found, folders = [], {}
    for path in inputs:
        try:
            told = os.lstat(path)
            linked = stat.S_ISLNK(told.st_mode)
            told = os.stat(path) if linked else told
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from error
        folder, name = os.path.split(path)
        if not linked and folder not in folders:
            folders[folder] = os.path.realpath(folder)
        real = os.path.realpath(path) if linked or name == ".." else os.path.join(folders[folder], name)
        found.append([real, told.st_size, told.st_mtime_ns])
    return found


def finished(out: Path) -> list[str]:
    """Names of all items that have a result in `out`, whichever run made it, sorted."""
    return sorted(path.parent.name for path in (out / ITEMS).glob(f"*/{RECORD}"))


def write_problems(out: Path, problems: Mapping[str, str]) -> None:
    """Write ``problems.csv``: what was passed over and why."""
    write_csv(
        out / "problems.csv", pd.DataFrame({"field": list(problems), "problem": list(problems.values())}, dtype=object)
    )


def spread(items: Sequence[FieldFiles], count: int) -> Sequence[FieldFiles]:
    """`count` of the items, evenly spread."""
    count = min(count, len(items))
    return [items[n * len(items) // count] for n in range(count)]


def files_of(item: FieldFiles) -> tuple[Path, ...]:
    """Files that a field's pixels are read from, and its label images where it has any: the usual inputs.

    Raises InputError for an OME-Zarr of which that cannot be told.
    """
    planes: dict[Path, dict[tuple[int, int, int], None]] = {}  # each file is looked into once, however many it holds
    for one in item.sources:
        for path, z in one.slices:
            planes.setdefault(path, {})[one.scene, one.t, z] = None
    found = dict.fromkeys(file for path, own in planes.items() for file in files_behind(path, own))
    return (*found, *(path for path in (item.labels, item.ignore, item.original) if path is not None))
