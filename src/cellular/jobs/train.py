"""`cellular train`: prepared folders in; a fine-tuned model, its log and its curve out."""

import hashlib
from pathlib import Path

from cellular.errors import MissingInputError, OutputExistsError, SettingsError
from cellular.files import alone_in, empty_folder, is_leftover, sha256_of
from cellular.report.training import draw_loss, write_tensorboard
from cellular.train.loop import CHECKPOINT, DIAMETERS, RUN, TrainingResult, start_network, train_network
from cellular.train.samples import enough_cells, load_samples
from cellular.train.settings import TrainSettings


def train(
    train_dir: str | Path,
    valid_dir: str | Path | None,
    experiment_name: str,
    experiments_dir: str | Path = "./experiments",
    settings: TrainSettings | None = None,
    resume: bool = False,
    *,
    force: bool = False,
    tensorboard: bool = False,
) -> TrainingResult:
    """Fine-tune a model on folders that `prepare` wrote.

    Writes into ``experiments_dir/experiment_name``: ``models/<name>`` and ``models/<name>_best`` (Cellpose's format,
    loadable there), ``log.csv``, ``loss.png``, ``run.json``, ``diam_estimate.json``, ``checkpoint.pt``.

    Parameters
    ----------
    train_dir, valid_dir : folders of ``<field>.<ext>`` with ``<field>_masks.<png|tif>``; valid_dir may be None.
    experiment_name : name of the folder and of the model files.
    settings : see :class:`TrainSettings`.
    resume : go on from the folder's checkpoint; on the CPU the result is the same, bit for bit, as without the stop.
    force : delete an experiment of that name first.
    tensorboard : write a TensorBoard log too.

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
    settings = settings or TrainSettings()
    folder = experiment_folder(experiments_dir, experiment_name)
    if force:
        remove_experiment(experiments_dir, experiment_name)
    resume = _check_folder(folder, resume)
    asked = settings.channels
    network, info, settings = start_network(settings)
    samples = enough_cells(
        load_samples(train_dir, info, asked, "read training fields"), settings.min_train_masks, train_dir
    )
    validation = load_samples(valid_dir, info, asked, "read validation fields") if valid_dir else []
    data = {"train_dir": str(train_dir), "valid_dir": str(valid_dir) if valid_dir else None}
    data["sha256"] = listing_hash([Path(d) for d in (train_dir, valid_dir) if d])
    with alone_in(folder):
        result = train_network(network, samples, validation, settings, folder, info, resume, data)
        draw_loss(folder)
        if tensorboard:
            write_tensorboard(folder)
    return result


def experiment_folder(experiments_dir: str | Path, experiment_name: str) -> Path:
    """The experiment's folder; a name that would lie elsewhere raises SettingsError."""
    if experiment_name in ("", ".", "..") or Path(experiment_name).name != experiment_name:
        raise SettingsError(f"experiment_name is a plain name, no path, got '{experiment_name}'; see --experiments_dir")
    return Path(experiments_dir) / experiment_name


def _check_folder(folder: Path, resume: bool) -> bool:
    """Whether to go on from a checkpoint; a run killed before its first one has nothing to lose and starts again."""
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


def remove_experiment(experiments_dir: str | Path, experiment_name: str) -> None:
    """Delete an experiment's folder, if it is one; a folder that training did not make raises OutputExistsError."""
    folder = experiment_folder(experiments_dir, experiment_name)
    if not folder.exists():
        return
    if not (folder / RUN).is_file() and not all(map(is_leftover, folder.iterdir())):
        raise OutputExistsError(f"{folder} holds no {RUN}: training did not make it, so it is not deleted")
    with alone_in(folder):
        empty_folder(folder, RUN)


def listing_hash(folders: list[Path]) -> str:
    """SHA-256 over names and contents of all files in `folders`, in order of name."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(p for p in folder.iterdir() if p.is_file()):
            digest.update(f"{path.name} {sha256_of(path)}\n".encode())
    return digest.hexdigest()
