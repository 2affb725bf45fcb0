"""`cellular gather`: what shards did, joined."""

import shutil
from pathlib import Path

from cellular.errors import InputError, MissingInputError
from cellular.files import read_json
from cellular.jobs.shards import COMMAND, FOLDER, Command


def gather(out: str | Path) -> Command:
    """What is to be run, with ``--gather``, to join the shards in folder `out`.

    Raises MissingInputError or InputError where no shard has been there, or the folder it was run in is gone.
    """
    path = Path(out) / FOLDER / COMMAND
    if not path.is_file():
        raise MissingInputError(
            f"{out} holds no shards: no {FOLDER}/{COMMAND}; give the --out of a command with --shard, not joined yet"
        )
    told = read_json(path)
    try:
        command = Command([str(word) for word in told["arguments"]], Path(told["folder"]))
    except (TypeError, KeyError) as error:
        raise InputError(f"{path} is damaged; run a shard again") from error
    if not command.folder.is_dir():
        raise MissingInputError(f"{command.folder} is gone, where the shards of {out} were run; run the command there")
    return command


def gathered(out: str | Path) -> None:
    """Take away what was kept for joining."""
    shutil.rmtree(Path(out) / FOLDER, ignore_errors=True)
