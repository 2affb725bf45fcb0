"""`cellular train`: prepared folders in; a fine-tuned model, its log and its curve out."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from cellular.data.plate import FieldFiles, Plate
from cellular.errors import MissingInputError, OutputExistsError, SettingsError
from cellular.files import alone_in, empty_folder, is_leftover, read_json, sha256_of
from cellular.jobs.corrections import annotated
from cellular.jobs.learned import among, digests
from cellular.report.training import Trackers, draw_loss
from cellular.segment.model.registry import ModelInfo
from cellular.train.checkpoint import CHECKPOINT
from cellular.train.loop import DIAMETERS, RUN, TrainingResult, start_network, train_network
from cellular.train.parallel import together
from cellular.train.samples import enough_cells, load_samples, memory_of, with_diameters
from cellular.train.settings import TrainSettings

logger = logging.getLogger(__name__)


def train(
    train_dir: Plate | str | Path,
    valid_dir: Plate | str | Path | None,
    experiment_name: str,
    experiments_dir: str | Path = "./experiments",
    settings: TrainSettings | None = None,
    resume: bool = False,
    *,
    force: bool = False,
    trackers: Trackers | None = None,
    corrections: str | Path | None = None,
    memory: int | None = None,
) -> TrainingResult:
    """Fine-tune a model on folders that `prepare` wrote.

    Writes into ``experiments_dir/experiment_name``: ``models/<name>`` and ``models/<name>_best`` (Cellpose's format,
    loadable there), ``log.csv``, ``loss.svg``, ``run.json``, ``diam_estimate.json``, ``checkpoint.pt``.

    Parameters
    ----------
    train_dir, valid_dir : folders of ``<field>.<ext>`` with ``<field>_masks.<png|tif>``, or plates; the second may be
        None.
    experiment_name : name of the folder and of the model files.
    settings : see :class:`TrainSettings`.
    resume : go on from the folder's checkpoint; on the CPU the result is the same, bit for bit, as without the stop.
    force : delete an experiment of that name first.
    trackers : where else the curve is kept: TensorBoard, Weights & Biases, MLflow.
    corrections : folder of corrections: learn from the corrected label images of `train_dir`'s fields, of which those
        without any label image are left out.
    memory : bytes for the fields; what goes beyond is read from the cache on disk, crop by crop. None sets no bound.

    Raises
    ------
    OutputExistsError : the experiment exists and `resume` was not asked for.
    InputError, MissingInputError, WeightsError : unusable data, or a model that cannot be had.

    Examples
    --------
    >>> import cellular
    >>> from cellular.simulate import SimulationSettings
    >>> made = cellular.simulate("sim", SimulationSettings(fields=1, size_px=160, diameter_px=30))
    >>> from cellular.train import TrainSettings
    >>> folder = cellular.prepare(made.folder, "prepared").output / "all" / "train"
    >>> tiny = TrainSettings(model_type="scratch", width=4, n_epochs=1, crop_size=64, min_train_masks=1, device="cpu")
    >>> result = cellular.train(folder, None, "first", settings=tiny)
    >>> result.model.as_posix(), result.epochs
    ('experiments/first/models/first', 1)
    """
    settings, trackers = settings or TrainSettings(), trackers or Trackers()
    trackers.require()
    folder = experiment_folder(experiments_dir, experiment_name)
    with together(settings.device) as (share, device):
        resume = share.told(_check_folder(folder, resume, force) if share.first else None)
        asked = settings.channels
        fields = annotated(train_dir, corrections)
        held_out = annotated(valid_dir, None) if valid_dir else None  # a wrong name must not cost the reading of all
        network, info, settings = start_network(replace(settings, device=device))
        if resume:
            _check_same_roles(folder / RUN, info)
        if not share.first:
            share.wait()  # until the first has left the flows where all find them
        samples = load_samples(fields, info, asked, "read training fields", memory)
        samples = enough_cells(samples, settings.min_train_masks, fields.folder)
        left = None if memory is None else memory - memory_of(samples)
        validation = load_samples(held_out, info, asked, "read validation fields", left) if held_out else []
        validation = with_diameters(validation, like=samples)
        learned = {sample.name for sample in samples}
        hashed = cache(sha256_of)  # images on a network drive are read once for it
        own = digests((item for item in fields.fields if item.name in learned), hashed)
        info = replace(info, trained_on=tuple(dict.fromkeys((*info.trained_on, *own))))
        if held_out and (both := among(held_out.fields, info.trained_on, hashed)):
            logger.warning(
                "%d validation field(s) are trained on too, first %s: their loss flatters, and the best weights are "
                "chosen by it", len(both), both[0],
            )  # fmt: skip
        if share.first:
            share.wait()
            if force:  # only now that there is something to train on
                _delete(folder)
        parts = [fields if corrections else train_dir, *([valid_dir] if valid_dir else [])]
        named = [str(part.folder if isinstance(part, Plate) else part) for part in parts]
        data: dict[str, Any] = {
            "train_dir": named[0],
            "valid_dir": named[1] if valid_dir else None,
            "sha256": listing_hash(parts, hashed),
        }
        data["roles"] = list(info.roles)
        with alone_in(folder) if share.first else nullcontext():
            result = train_network(network, samples, validation, settings, folder, info, resume, data, share)
            if share.first:
                draw_loss(folder)
                trackers.write(folder)
            share.wait()  # until all is written
    return result


def experiment_folder(experiments_dir: str | Path, experiment_name: str) -> Path:
    """The experiment's folder; a name that would lie elsewhere raises SettingsError."""
    if experiment_name in ("", ".", "..") or Path(experiment_name).name != experiment_name:
        raise SettingsError(f"experiment_name is a plain name, no path, got '{experiment_name}'; see --experiments_dir")
    return Path(experiments_dir) / experiment_name


def _check_folder(folder: Path, resume: bool, force: bool = False) -> bool:
    """Whether to go on from a checkpoint; a run killed before its first one has nothing to lose and starts again.

    With `force` only what training did not make is in the way.
    """
    if force:
        _check_made_by_training(folder)
        return False
    begun = (folder / CHECKPOINT).is_file()
    if resume and not begun and not (folder / RUN).is_file():
        raise MissingInputError(f"Nothing to resume: {folder / CHECKPOINT} is not there; start without --resume")
    if not begun:
        resume = False
    others = [e for e in folder.iterdir() if e.name not in (RUN, DIAMETERS)] if folder.is_dir() else []
    if not resume and not all(map(is_leftover, others)):
        raise OutputExistsError(
            f"The experiment {folder} exists; --resume continues it, another --experiment_name starts a new one, "
            "--force deletes it first"
        )
    return resume


def _check_same_roles(path: Path, info: ModelInfo) -> None:
    """Refuse to go on by roles where channels were given by numbers, or the other way: the numbers may be the same."""
    before = read_json(path).get("data", {}).get("roles", list(info.roles))  # runs of earlier versions do not tell
    if before != list(info.roles):
        was = f"the channels {' '.join(before)}" if before else "channels by their numbers"
        raise SettingsError(f"{path} was run with {was}; resume with --channels as it was then, or start a new run")


def _check_made_by_training(folder: Path) -> None:
    """Raise OutputExistsError for a folder that training did not make."""
    if folder.exists() and not (folder / RUN).is_file() and not all(map(is_leftover, folder.iterdir())):
        raise OutputExistsError(f"{folder} holds no {RUN}: training did not make it, so it is not deleted")


def _delete(folder: Path) -> None:
    """Delete an experiment's folder, if there is one."""
    if not folder.exists():
        return
    with alone_in(folder):
        empty_folder(folder, RUN)


def listing_hash(parts: Sequence[Plate | str | Path], hashed: Callable[[Path], str] = sha256_of) -> str:
    """SHA-256 over names and contents of all files of folders, or of plates' fields, in order of name.

    Of plates also over which slices of z-stacks are taken, and how. `hashed` gives a file's SHA-256.
    """
    digest = hashlib.sha256()
    for part in parts:
        found = [file for item in part.fields for file in _files_of(item)] if isinstance(part, Plate) else [Path(part)]
        for path in sorted({inside for one in found for inside in _inside(one)}):
            digest.update(f"{path.name} {hashed(path)}\n".encode())
        if stacks := [_slices(item) for item in part.fields if _slices(item)] if isinstance(part, Plate) else []:
            digest.update(repr(stacks).encode())
    return digest.hexdigest()


def _slices(item: FieldFiles) -> tuple:
    """The slices of a field's stacks and how they are projected; empty where each file is one plane."""
    chosen = [z for source in item.sources for _, z in source.slices]
    return (item.projection, *chosen) if item.projection or any(chosen) else ()


def _files_of(item: FieldFiles) -> list[Path]:
    return [path for path in (*item.images, item.labels, item.ignore) if path is not None]


def _inside(path: Path) -> list[Path]:
    """The file, or all files of a folder: images may lie in its subfolders, and a Zarr group is one."""
    return [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
