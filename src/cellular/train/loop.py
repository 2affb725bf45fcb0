"""The training stage: one flat loop."""

import copy
import logging
import math
import platform
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn

import cellular
from cellular.device import has_bfloat16, keep_freed_memory, resolve_device
from cellular.errors import InputError, SettingsError
from cellular.files import read_json, write_csv, write_json
from cellular.progress import progress
from cellular.segment.model.network import CPnet, build_network
from cellular.segment.model.registry import ModelInfo, load_model, save_model
from cellular.settings import settings_to_dict
from cellular.train.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from cellular.train.feed import Feed
from cellular.train.loss import flow_loss
from cellular.train.parallel import ALONE, Share
from cellular.train.samples import Sample
from cellular.train.schedule import learning_rates
from cellular.train.settings import TrainSettings

logger = logging.getLogger(__name__)

MOMENTUM = 0.9
LOG_COLUMNS = ["epoch", "learning_rate", "train_loss", "valid_loss", "crops_per_s"]
LOG, RUN, DIAMETERS = "log.csv", "run.json", "diam_estimate.json"
# What may differ between a run and its resumption: how far it goes and where it computes, not what it computes.
FREE_TO_CHANGE = ("device", "validate_every", "checkpoint_every", "patience")


@dataclass(frozen=True)
class TrainingResult:
    """Where a run left its models and how it went.

    Attributes
    ----------
    folder : the experiment's folder. model : last weights, where Cellpose puts them, ``models/<experiment>``.
    best : weights of the best validation, ``models/<experiment>_best``; the last ones where nothing was validated.
    epochs : epochs trained. best_loss : lowest validation loss, NaN where nothing was validated.
    """

    folder: Path
    model: Path
    best: Path
    epochs: int
    best_loss: float


def start_network(settings: TrainSettings) -> tuple[CPnet, ModelInfo, TrainSettings]:
    """Network that training starts from, its information, and the settings with the channels filled in.

    Raises SettingsError where the channels are not as many as the model takes.
    """
    if settings.model_type == "scratch":
        channels = settings.channels or (0, 0)
        torch.manual_seed(settings.seed)
        network = build_network(len(channels), settings.width)
        network.diam_mean.data.fill_(settings.diam_mean)
        return network, ModelInfo(channels), replace(settings, channels=channels)
    model = load_model(settings.model_type)
    # Channels by number are none by role, not even where they are the model's own numbers.
    kept = () if settings.channels else model.info.roles
    channels = tuple(settings.channels or model.info.channels)
    settings = replace(settings, channels=channels)
    if len(channels) != model.network.channels:
        raise SettingsError(
            f"{settings.model_type} takes {model.network.channels} channel(s), --channels gives {channels}"
        )
    # A score calibrated on the old weights would mislead on the new ones.
    info = replace(model.info, channels=channels, roles=kept, score=None, about="")
    return model.network, info if kept else replace(info, optional_roles=()), settings


def train_network(
    network: CPnet,
    samples: list[Sample],
    validation: list[Sample],
    settings: TrainSettings,
    folder: str | Path,
    info: ModelInfo | None = None,
    resume: bool = False,
    data: dict[str, Any] | None = None,
    share: Share = ALONE,
) -> TrainingResult:
    """The loop behind `cellular train`, on samples in memory; `info` and `data` are only recorded.

    `network` is trained in place, by all processes of which `share` is one; the first of them writes. With `resume`,
    the samples and settings must be those of the run that was stopped; one that had stopped early stays as it is.
    """
    folder, info = Path(folder), info or ModelInfo(settings.channels or (0, 0))
    device = _device(settings)
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in its types
    _tell_diameters(network, samples, settings)
    feed = Feed(samples, settings, float(network.diam_mean), device, share)
    looked_at = validation if settings.validate_every else []
    valid_feed = Feed(looked_at, settings, float(network.diam_mean), device, share) if looked_at else None
    optimizer, rates = _optimizer(network, settings), learning_rates(settings)
    average = copy.deepcopy(network) if settings.ema else network
    run = _run_record(settings, samples, validation, device, data)
    history: list[dict[str, float | None]] = []
    best_loss, since_best, first = math.inf, 0, 0
    if resume:
        _check_same_run(folder / RUN, run)
        state = _taken_up(folder, {"network": network, "average": average, "optimizer": optimizer})
        history, best_loss, since_best, first = (state[k] for k in ("history", "best_loss", "since_best", "epoch"))
    elif share.first:
        _warn_of_warm_up(rates, settings)
        _write_start(folder, run, network)
    last_path, best_path = (folder / "models" / f"{folder.name}{end}" for end in ("", "_best"))

    def checkpoint(epoch: int) -> None:
        if not share.first:
            return
        state: dict[str, Any] = {"history": history, "best_loss": best_loss, "since_best": since_best, "epoch": epoch}
        state |= {"network": network.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict()}
        save_checkpoint(folder, state, {"epoch": epoch, "of": settings.n_epochs, "best_loss": _finite(best_loss)})
        write_csv(folder / LOG, pd.DataFrame(history, columns=LOG_COLUMNS))

    checkpoint(first)
    done, learner = first, share.learner(network)
    with progress(total=settings.n_epochs, desc="train", unit="epoch", show=share.first) as bar:
        bar.update(first)
        for epoch in range(first, first if 0 < settings.patience <= since_best else settings.n_epochs):
            started, rate = time.perf_counter(), float(rates[epoch])
            loss, crops = _train_epoch(learner, network, average, feed, epoch, optimizer, rate, settings)
            row = _row(epoch + 1, rate, loss, crops / (time.perf_counter() - started))
            # before anything is saved: the weights of the last step show in no loss but the next
            _check_finite({"loss": loss, "largest weight": _largest(average)}, epoch, settings, folder)
            if valid_feed and ((epoch + 1) % settings.validate_every == 0 or epoch + 1 == settings.n_epochs):
                row["valid_loss"] = valid_loss = _validate(average, valid_feed)
                _check_finite({"validation loss": valid_loss}, epoch, settings, folder)
                since_best += 1
                if valid_loss < best_loss:
                    best_loss, since_best = valid_loss, 0
                    _save(best_path, average, info, share)
            history.append(row)
            done = epoch + 1
            bar.update()
            bar.set_postfix(loss=f"{loss:.3f}", valid=f"{best_loss:.3f}" if math.isfinite(best_loss) else "-")
            stop = 0 < settings.patience <= since_best
            due = done % settings.checkpoint_every == 0 or done == settings.n_epochs
            if due or stop or row["valid_loss"] == best_loss:  # the best weights and what is known of them go together
                checkpoint(done)
            if stop:
                logger.info("no better validation in %d tries: stopped after epoch %d", settings.patience, done)
                break
    for path in (last_path, *(() if best_path.is_file() else (best_path,))):
        _save(path, average, info, share)
    return TrainingResult(folder, last_path, best_path, done, best_loss if math.isfinite(best_loss) else math.nan)


def _row(epoch: int, rate: float, loss: float, crops_per_s: float) -> dict[str, float | None]:
    """A line of the log of an epoch that has not been validated."""
    return dict(zip(LOG_COLUMNS, (epoch, rate, loss, None, round(crops_per_s, 2))))


def _tell_diameters(network: CPnet, samples: list[Sample], settings: TrainSettings) -> None:
    """Write into the network how large the training cells are; without rescaling that is what it works at, too."""
    # Fields without cells say nothing of the cells' size.
    diameters = [settings.diameter or sample.diameter for sample in samples if sample.cells]
    network.diam_labels.data.fill_(float(np.mean(diameters)))
    if not settings.rescale:
        network.diam_mean.data.copy_(network.diam_labels)


def _warn_of_warm_up(rates: np.ndarray, settings: TrainSettings) -> None:
    """Say where the run ends before its schedule is near the peak; in one epoch of Cellpose's nothing is learned."""
    if rates.max() < 0.9 * settings.learning_rate:
        logger.warning(
            "%d epoch(s) are too few for the %s schedule, which warms up: the learning rate is %.3g at most, not %g",
            settings.n_epochs, settings.schedule, rates.max(), settings.learning_rate,
        )  # fmt: skip


def _write_start(folder: Path, run: dict[str, Any], network: CPnet) -> None:
    write_json(folder / RUN, run)
    write_json(folder / DIAMETERS, {"diam_labels": float(network.diam_labels)})


def _save(path: Path, network: CPnet, info: ModelInfo, share: Share) -> None:
    if share.first:
        save_model(path, network, info)


def _device(settings: TrainSettings) -> torch.device:
    device = resolve_device(settings.device)
    if _mixed_precision(settings, device) and not has_bfloat16(device):
        logger.warning("%s has no bfloat16 instructions, which makes --amp on ten times slower than --amp off", device)
    keep_freed_memory()
    return device


def _taken_up(folder: Path, parts: dict[str, Any]) -> dict[str, Any]:
    """The folder's checkpoint, its `parts` (network, average, optimizer) as they were then."""
    state = load_checkpoint(folder)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return state


def _largest(network: CPnet) -> float:
    """The largest of a network's weights and running values, without sign; NaN if one is."""
    return float(torch.stack([value.abs().max().float() for value in network.state_dict().values()]).max())


def _check_finite(values: dict[str, float], epoch: int, settings: TrainSettings, folder: Path) -> None:
    for name, value in values.items():
        if not math.isfinite(value):
            raise InputError(
                f"The {name} became {value} in epoch {epoch + 1}: training diverged. Lower --learning_rate "
                f"({settings.learning_rate}); {folder / CHECKPOINT} holds the last good state"
            )


def _train_epoch(
    learner: torch.nn.Module,
    network: CPnet,
    average: CPnet,
    feed: Feed,
    epoch: int,
    optimizer: torch.optim.Optimizer,
    rate: float,
    settings: TrainSettings,
) -> tuple[float, int]:
    """One pass of `network`, called as `learner`: the mean loss and the number of crops, of all processes together.

    The GPU is waited for once, at the end.
    """
    for group in optimizer.param_groups:
        group["lr"] = rate
    learner.train()
    if settings.freeze_norm:
        for part in network.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.eval()
    device, share = feed.device, feed.share
    total, crops = torch.zeros((), device=device), torch.zeros((), device=device)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=_mixed_precision(settings, device))
    for image, target in feed.epoch(epoch):
        with autocast:
            output, _ = learner(image)
        pixels, number = _of_all(target, share)
        loss = flow_loss(output.float(), target, pixels)
        optimizer.zero_grad(set_to_none=True)
        (loss * share.of).backward()  # the mean over processes is what is stepped along
        optimizer.step()
        if settings.ema:
            move_average(average, network, settings.ema)
        total += loss.detach() * number
        crops += number
    return float(share.total(total) / crops), int(crops)


def _of_all(target: torch.Tensor, share: Share) -> torch.Tensor:
    """(2,) pixels that count and crops, of the parts of a batch that all processes have."""
    return share.total(torch.stack([target[:, 3].sum(), target.new_full((), float(len(target)))]))


def _mixed_precision(settings: TrainSettings, device: torch.device) -> bool:
    return settings.amp == "on" or (settings.amp == "auto" and device.type == "cuda")


@torch.no_grad()
def move_average(average: CPnet, network: CPnet, keep: float) -> None:
    """Move the running mean of the weights to `keep` of itself and the rest of `network`; what counts is copied."""
    moving: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
    for mean, value in zip(average.state_dict().values(), network.state_dict().values()):
        if mean.is_floating_point():
            moving[0].append(mean)
            moving[1].append(value)
        else:
            mean.copy_(value)
    # All at once: a GPU is told of two hundred small operations longer than it takes to do them.
    get_ema_multi_avg_fn(keep)(*moving, None)


def _validate(network: CPnet, feed: Feed) -> float:
    """Mean loss over the validation crops, batch norm at its running values."""
    network.eval()
    total, crops = torch.zeros((), device=feed.device), torch.zeros((), device=feed.device)
    with torch.inference_mode():
        for image, target in feed.validation():
            pixels, number = _of_all(target, feed.share)
            total += flow_loss(network(image)[0], target, pixels) * number
            crops += number
    return float(feed.share.total(total) / crops)


def _optimizer(network: CPnet, settings: TrainSettings) -> torch.optim.Optimizer:
    parameters = [p for p in network.parameters() if p.requires_grad]
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=rate, momentum=MOMENTUM, weight_decay=decay)
    # Cellpose 2's RAdam, which the published runs used, keeps the weight decay inside the gradient, as torch's does.
    if settings.optimizer == "radam":
        return torch.optim.RAdam(parameters, lr=rate, weight_decay=decay)
    return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)


def _run_record(
    settings: TrainSettings,
    samples: list[Sample],
    validation: list[Sample],
    device: torch.device,
    data: dict[str, Any] | None,
) -> dict[str, Any]:
    """What was run, on what, with what: for people, and to check a resumption against."""
    return {
        "settings": settings_to_dict(settings) | {"channels": list(settings.channels or (0, 0))},
        "train_fields": [sample.name for sample in samples],
        "valid_fields": [sample.name for sample in validation],
        "data": data or {},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu",
        "versions": {"cellular": cellular.__version__, "torch": torch.__version__, "numpy": np.__version__}
        | {"python": platform.python_version(), "git": git_revision()},
        "threads": torch.get_num_threads(),
    }


def _check_same_run(path: Path, run: dict[str, Any]) -> None:
    before = read_json(path)
    for key in ("settings", "train_fields", "valid_fields", "data"):
        old, new = before.get(key), run[key]
        if key == "data":  # the folders may lie elsewhere by now, or be spelled in another way
            old, new = ({"sha256": part.get("sha256")} for part in (old, new))
        if key == "settings":
            old, new = ({k: v for k, v in part.items() if k not in FREE_TO_CHANGE} for part in (old, new))
        if old != new:
            changed = sorted(k for k in new if old.get(k) != new[k]) if isinstance(new, dict) else []
            if key == "settings":
                changed = [f"{name} was {old.get(name)!r}, now {new[name]!r}" for name in changed]
            which = f" ({'; '.join(changed[:3])})" if changed else ""
            raise SettingsError(f"{path} was run with other {key}{which}; resume with the same, or start a new run")


def git_revision() -> str | None:
    """Commit of the source tree this package runs from; None where it is not a git checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
