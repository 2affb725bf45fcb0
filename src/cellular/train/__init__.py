"""From prepared fields to a trained network."""

from cellular.train.settings import TrainSettings
from cellular.train.loop import TrainingResult, train, train_network

__all__ = ["TrainSettings", "TrainingResult", "train", "train_network"]
