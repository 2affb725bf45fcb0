"""Learning rate by epoch."""

import numpy as np

from cellular.train.settings import TrainSettings


def learning_rates(settings: TrainSettings) -> np.ndarray:
    """Learning rate of every epoch, (n_epochs,) float64.

    "cellpose" (Cellpose 3, ``train_seg``): 0 to the peak over 10 epochs, then the peak; of more than 300 epochs the
    last 100 are ten halvings of 10 epochs each, of more than 100 the last 50 are ten of 5.
    """
    peak, epochs = settings.learning_rate, settings.n_epochs
    if settings.schedule == "cosine":
        progress = (np.arange(epochs) + 0.5) / epochs
        return peak * np.minimum(1, progress / 0.05) * 0.5 * (1 + np.cos(np.pi * progress))
    rates = np.full(max(epochs, 10), peak)
    rates[:10] = np.linspace(0, peak, 10)
    hold = 10 if epochs > 300 else 5 if epochs > 100 else 0
    if hold:
        rates[epochs - 10 * hold :] = np.repeat(peak / 2.0 ** np.arange(1, 11), hold)
    return rates[:epochs]
