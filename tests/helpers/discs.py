"""Folders to train on: discs and their labels."""

import numpy as np

from cellular.data.formats.images import write_image, write_labels


def make_folder(folder, fields=3, seed=0, ignore=False):
    """Bright discs on noise, with their labels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:120, :140]
    for k in range(fields):
        labels = np.zeros((120, 140), np.uint16)
        for n in range(8):
            cy, cx = 20 + 40 * (n // 4) + rng.integers(-4, 4), 20 + 33 * (n % 4) + rng.integers(-4, 4)
            labels[(y - cy) ** 2 + (x - cx) ** 2 < rng.integers(9, 15) ** 2] = n + 1
        image = np.where(labels > 0, 150, 30) + rng.normal(0, 8, labels.shape)
        write_image(folder / f"f{k}.png", image.clip(0, 255).astype(np.uint8))
        write_labels(folder / f"f{k}_masks.png", labels)
        if ignore:
            write_labels(folder / f"f{k}_ignore.png", (labels == 1).astype(np.uint16))
    return folder
