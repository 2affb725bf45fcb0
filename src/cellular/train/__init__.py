"""From prepared fields to a trained network."""

from cellular.train.loop import TrainingResult, remove_experiment, train, train_network
from cellular.train.settings import TrainSettings

__all__ = ["TrainSettings", "TrainingResult", "remove_experiment", "train", "train_network"]
