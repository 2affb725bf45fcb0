"""How to train: one frozen dataclass, a unit on every field."""

import math
from dataclasses import dataclass
from typing import Literal

from cellular.errors import SettingsError


@dataclass(frozen=True)
class TrainSettings:
    """Settings of a training run. The defaults are the published ones (Al Outa et al. 2023, ``train.py``).

    Attributes
    ----------
    model_type : what to start from: "cyto", "cyto2", "cyto3", "starter", "scratch" or a model file.
    width : channels of the first level, for "scratch"; Cellpose's own models have 32.
    channels : image channels for the network, 1-based, 0 = grey (see :func:`to_network_input`); None takes those of the
        model that training starts from, (0, 0) from scratch.
    n_epochs : passes over the training fields (one crop a field and pass).
    learning_rate : peak of the schedule.
    weight_decay : of the optimizer.
    batch_size : crops a step.
    optimizer : "sgd" (momentum 0.9) and "radam" are the published choice; "adamw" is Cellpose 3's alternative.
    schedule : "cellpose" warms up linearly over 10 epochs, stays, and halves ten times over the last 100 (more than 300
        epochs) or 50 (more than 100); "cosine" warms up over 5 % and then falls to 0.
    rescale : bring each field to `diam_mean` by its own median cell diameter, and vary the scale by a quarter; without
        it fields keep their scale and it varies by half.
    diameter : px; with `rescale`, one diameter for every field instead of each field's own median.
    diam_mean : px; cell diameter the network works at, for "scratch".
    crop_size : side of the crops, px at the network's scale.
    min_train_masks : training fields with fewer cells are left out, and named.
    fields_per_epoch : fields drawn a pass (with replacement); None takes each once.
    validate_every : epochs between validations; 0 never validates.
    patience : validations without a better one after which training stops; 0 never stops early.
    checkpoint_every : epochs between checkpoints that training can be resumed from.
    ema : weight of the past in a running mean of the weights (0 = off); the mean is validated and saved.
    jitter : half-width of a random gain (relative) and of an offset (in units of the 1-99 percentile range) of each
        channel of a crop.
    freeze_norm : keep the means and variances of batch normalisation that the model came with, instead of each batch's
        own: for a few fields that look alike, whose batches are unlike what the model has learned from.
    amp : bfloat16 autocast: "auto" on CUDA alone, "on" also on the CPU (nearly twice the speed where the processor has
        bfloat16 instructions, slower where it has none), "off" nowhere.
    seed : of everything random.
    device : "auto", "cpu", "cuda", "cuda:N" or "mps".
    """

    model_type: str = "cyto2"
    width: int = 32
    channels: tuple[int, ...] | None = None
    n_epochs: int = 500
    learning_rate: float = 0.2
    weight_decay: float = 1e-5
    batch_size: int = 8
    optimizer: Literal["sgd", "radam", "adamw"] = "sgd"
    schedule: Literal["cellpose", "cosine"] = "cellpose"
    rescale: bool = True
    diameter: float | None = None
    diam_mean: float = 30.0
    crop_size: int = 224
    min_train_masks: int = 5
    fields_per_epoch: int | None = None
    validate_every: int = 10
    patience: int = 0
    checkpoint_every: int = 10
    ema: float = 0.0
    jitter: float = 0.0
    freeze_norm: bool = False
    amp: Literal["auto", "on", "off"] = "auto"
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        positive = ("width", "n_epochs", "learning_rate", "batch_size", "diam_mean", "checkpoint_every")
        for name in positive:
            if not getattr(self, name) > 0:
                raise SettingsError(f"{name} must be above 0, got {getattr(self, name)}")
        for name in ("diameter", "fields_per_epoch"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise SettingsError(f"{name} must be above 0 or left out, got {getattr(self, name)}")
        for name in ("weight_decay", "min_train_masks", "validate_every", "patience", "jitter", "seed"):
            if not getattr(self, name) >= 0:
                raise SettingsError(f"{name} must be 0 or more, got {getattr(self, name)}")
        for name in ("learning_rate", "diameter", "weight_decay", "diam_mean", "jitter"):
            if getattr(self, name) == math.inf:
                raise SettingsError(f"{name} must be finite, got inf")
        if self.crop_size < 16 or self.crop_size % 8:
            raise SettingsError(f"crop_size must be a multiple of 8 and at least 16 px, got {self.crop_size}")
        if not 0 <= self.ema < 1:
            raise SettingsError(f"ema must lie in 0..1 (1 excluded), got {self.ema}")
        if self.optimizer not in ("sgd", "radam", "adamw"):
            raise SettingsError(f"optimizer must be sgd, radam or adamw, got {self.optimizer!r}")
        if self.amp not in ("auto", "on", "off"):
            raise SettingsError(f"amp must be auto, on or off, got {self.amp!r}")
        if self.schedule not in ("cellpose", "cosine"):
            raise SettingsError(f"schedule must be cellpose or cosine, got {self.schedule!r}")

    @property
    def scale_range(self) -> float:
        """Full width of the random scale around 1 (Cellpose: 0.5 with rescaling, 1 without)."""
        return 0.5 if self.rescale else 1.0
