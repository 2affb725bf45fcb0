"""Prepared fields to a trained network."""

from cellular.lazy import attach, callable_room

_NAMES = {
    **dict.fromkeys(("TrainingResult", "train_network"), "cellular.train.loop"),
    "TrainSettings": "cellular.train.settings",
}
__all__ = ["TrainSettings", "TrainingResult", "train_network"]
__getattr__, __dir__ = attach(__name__, _NAMES)
callable_room(__name__)
