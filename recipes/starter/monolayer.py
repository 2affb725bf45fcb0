"""Simulated sheets of touching cells in two reporter channels, of many shapes, sizes and kinds of brightness.

They widen what the starter knows beyond *Drosophila* cells: no transmitted light, confluent or scattered, a nucleus
that is darker or brighter than the cytoplasm or does not show, puncta, uneven light, noise.
"""

import cv2
import numpy as np


def monolayer(side: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Image (side, side, 2) uint16 (mRFP, EGFP) and labels (side, side) uint16 of one random sheet of cells."""
    diameter = rng.uniform(30, 90)
    labels = cell_shapes(side, diameter, rng)
    depth = cv2.distanceTransform((labels > 0).astype(np.uint8), cv2.DIST_L2, 5)
    edges = cv2.morphologyEx(labels, cv2.MORPH_GRADIENT, np.ones((3, 3))) > 0
    depth = np.minimum(depth, cv2.distanceTransform((~edges).astype(np.uint8), cv2.DIST_L2, 5)) * (labels > 0)
    count = int(labels.max())
    share = rng.uniform(0.2, 0.8, 2)
    expression = np.exp(rng.normal(0, rng.uniform(0.1, 0.8), (count + 1, 1)) * np.sqrt(share))
    expression = expression * np.exp(rng.normal(0, rng.uniform(0, 0.4), (count + 1, 2)))
    expression[0] = 0
    light = np.minimum(depth / (rng.uniform(0.05, 0.6) * diameter / 2), 1) ** rng.uniform(0.3, 1.2)
    light = light * (1 + rng.uniform(0, 0.3) * smooth_noise(side, rng.uniform(1, 6), rng))
    light = light * (1 + rng.uniform(-0.7, 0.5) * nuclei(labels, rng))
    image = expression[labels] * np.maximum(light, 0)[..., None] + puncta(labels, diameter, rng)
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.6, 2.5))
    ramp = np.linspace(-1, 1, side)
    image = (image + rng.uniform(0.02, 0.4)) * (
        1 - rng.uniform(0, 0.25) * (ramp[:, None, None] ** 2 + ramp[:, None] ** 2)
    )
    photons = rng.uniform(15, 400)
    return np.clip(rng.poisson(image * photons) / photons * 2000 + 100, 0, 65535).astype(np.uint16), labels


def cell_shapes(side: int, diameter: float, rng: np.random.Generator) -> np.ndarray:
    """Labels of wavy ellipses about jittered places; where two meet, the relatively nearer centre has the pixel."""
    step = diameter * rng.uniform(0.8, 1.2)
    grid = np.arange(-step / 2, side + step, step)
    centres = np.stack(np.meshgrid(grid, grid, indexing="ij"), -1).reshape(-1, 2)
    centres = centres + rng.normal(0, step * rng.uniform(0.1, 0.35), centres.shape)
    centres = rng.permutation(centres[rng.random(len(centres)) < rng.uniform(0.4, 1)])
    spread, waviness, eccentricity = rng.uniform(0, 0.3), rng.uniform(0, 0.15), rng.uniform(0, 0.4)
    nearest, labels = np.ones((side, side), np.float32), np.zeros((side, side), np.int32)
    for label, (y, x) in enumerate(centres, start=1):
        radius = diameter / 2 * np.exp(rng.normal(0, spread))
        reach = int(2 * radius) + 1
        rows, columns = (slice(max(0, int(c) - reach), max(0, min(side, int(c) + reach))) for c in (y, x))
        v, u = np.arange(rows.start, rows.stop)[:, None] - y, np.arange(columns.start, columns.stop)[None] - x
        angle, turn, phase = np.arctan2(v, u), rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi, 4)
        wave = sum(np.cos((n + 2) * angle + phase[n]) / (n + 1) for n in range(4))
        edge = radius * (1 + waviness * wave) * (1 + eccentricity * np.cos(2 * (angle - turn)))
        distance = np.hypot(v, u) / np.maximum(edge, 0.3 * radius)
        closer = distance < nearest[rows, columns]
        labels[rows, columns][closer], nearest[rows, columns][closer] = label, distance[closer]
    if rng.random() < 0.5:  # some experts leave a gap between touching cells
        labels[cv2.morphologyEx(labels.astype(np.uint16), cv2.MORPH_GRADIENT, np.ones((3, 3))) > 0] = 0
    return largest_pieces(labels, 0.1 * diameter**2)


def largest_pieces(labels: np.ndarray, least: float) -> np.ndarray:
    """Labels 1..N with each cell's largest piece alone, cells under `least` px dropped."""
    result, number = np.zeros(labels.shape, np.uint16), 0
    for label in np.flatnonzero(np.bincount(labels.ravel())[1:] >= least) + 1:
        rows, columns = np.nonzero(labels == label)
        window = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
        pieces, stats = cv2.connectedComponentsWithStats((labels[window] == label).astype(np.uint8), connectivity=4)[
            1:3
        ]
        if stats[1:, cv2.CC_STAT_AREA].max() >= least:
            number += 1
            result[window][pieces == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()] = number
    return result


def nuclei(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(Y, X) float 0..1: 1 inside a round nucleus near the middle of each cell."""
    image = np.zeros(labels.shape, np.float32)
    flat, rows, columns = labels.ravel(), *(axis.ravel() for axis in np.indices(labels.shape))
    area = np.maximum(np.bincount(flat), 1)
    y, x = np.bincount(flat, rows) / area, np.bincount(flat, columns) / area
    radius = rng.uniform(0.35, 0.6) * np.sqrt(area / np.pi)
    for k in range(1, len(area)):
        centre = tuple(int(v) for v in np.array([x[k], y[k]]) + rng.normal(0, 0.15 * radius[k], 2))
        axes = tuple(int(max(1, v)) for v in radius[k] * rng.uniform(0.75, 1, 2))
        cv2.ellipse(image, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
    return image * (labels > 0)


def puncta(labels: np.ndarray, diameter: float, rng: np.random.Generator) -> np.ndarray:
    """(Y, X, 2) float: bright spots inside the cells, in both channels or mostly in the first."""
    image = np.zeros((*labels.shape, 2), np.float32)
    inside = np.argwhere(labels > 0)
    count = rng.poisson(rng.uniform(0, 40)) * int(labels.max())
    if not count or not len(inside):
        return image
    at = inside[rng.integers(len(inside), size=count)]
    height = np.exp(rng.normal(np.log(rng.uniform(0.5, 6)), 0.4, count))
    second = np.where(rng.random(count) < rng.uniform(0, 1), rng.uniform(0.6, 1.2, count), rng.uniform(0, 0.15, count))
    np.add.at(image, (at[:, 0], at[:, 1]), np.stack([height, height * second], axis=1))
    sigma = max(0.8, rng.uniform(0.015, 0.035) * diameter)
    return cv2.GaussianBlur(image, (0, 0), sigma) * 2 * np.pi * sigma**2


def smooth_noise(side: int, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """(side, side) float32 noise of unit standard deviation, smooth over `sigma` px."""
    noise = cv2.GaussianBlur(rng.standard_normal((side, side), dtype=np.float32), (0, 0), sigma)
    return noise / noise.std()
