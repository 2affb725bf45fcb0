"""Cell diameter: of labels, and of an image nobody has measured yet."""

import numpy as np

from cellular.labels.cells import areas_of


def median_diameter(labels: np.ndarray) -> float:
    """Median cell diameter in px, of circles of the cells' areas: Cellpose's ``utils.diameters``; 0 without cells.

    >>> labels = np.zeros((20, 20), np.uint16)
    >>> labels[2:12, 2:12] = 1
    >>> round(median_diameter(labels), 2)
    11.28
    """
    areas = areas_of(labels)
    return float(np.median(np.sqrt(areas)) * 2 / np.sqrt(np.pi)) if areas.size else 0.0
