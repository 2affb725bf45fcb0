"""What the benchmarks run on: a real field where there is one, a simulated one otherwise."""

import os
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

from benchmarks.environment import ROOT
from cellular.segment import labels_to_flows

# The published images and boxes, or a folder of the same layout that the environment names.
SHARED = Path(os.environ.get("CELLULAR_BENCH_DATA", ROOT.parent / "shared" / "data" / "cellular"))
REAL_FIELD = "Timepoint_004_220518-ST_C05_s1"
SIDE = 2048  # px


class Field(NamedTuple):
    """Image (Y, X, 3) uint8, labels (Y, X) uint16, and flows and cell probability as a network would give them."""

    source: str
    image: np.ndarray
    labels: np.ndarray
    flows: np.ndarray
    cell_probability: np.ndarray


def load_field(side: int = SIDE, simulated: bool = False) -> Field:
    """The field to run on, cut to its upper left `side` px."""
    if SHARED.is_dir() and not simulated:
        from recipes.starter.boxes import outlines, read_boxes

        image = cv2.imread(str(SHARED / "images-color" / f"{REAL_FIELD}.jpg"))[..., ::-1]
        labels = outlines(read_boxes(SHARED / "boxes" / f"{REAL_FIELD}.txt", SIDE), SIDE)
        source = f"real field {REAL_FIELD}, outlines drawn into the expert's boxes"
    else:
        from cellular.simulate import SimulationSettings, simulate_field

        field = simulate_field(SimulationSettings(size_px=SIDE))
        channels = np.moveaxis(field.channels[[1, 0, 2]], 0, -1).astype(np.float32)
        image = (255 * channels / channels.max((0, 1))).astype(np.uint8)
        labels = field.labels()
        source = "simulated field"
    labels = np.ascontiguousarray(labels[:side, :side])
    flows, probability = network_like(labels)
    return Field(source, np.ascontiguousarray(image[:side, :side]), labels, flows, probability)


def network_like(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flows (2, Y, X) and cell probability (Y, X) as a fair network would give: true, with smooth errors, blurred."""
    random = np.random.default_rng(0)
    flows = 5 * labels_to_flows(labels)
    for sigma, size in ((3, 1.0), (12, 0.7)):
        errors = np.stack([gaussian_filter(random.normal(size=labels.shape).astype(np.float32), sigma) for _ in "yx"])
        flows += size * errors / errors.std()
    flows = np.stack([gaussian_filter(axis, 1) for axis in flows])
    inner = labels > 0
    for axis in (0, 1):
        for shift in (-1, 1):
            inner &= np.roll(labels, shift, axis) == labels
    probability = gaussian_filter(np.where(inner, 4, -4).astype(np.float32), 1.5)
    return flows, probability + 0.3 * random.normal(size=labels.shape).astype(np.float32)
