"""From an image and its labels to what the GPU program learns from: planes, flows and cells."""

import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from atlas import PLANES, Packed

from cellular.data.formats.images import read_image, read_labels
from cellular.labels.diameter import median_diameter
from cellular.segment.flows.to_flows import labels_to_flows
from cellular.segment.image.normalize import to_network_input

# Px a cell the network sees, for cells of real fields.
FIELD_SCALE = 48.0


def pack(kind: str, path: Path, out: Path) -> None:
    """Planes, flows and cells of one image, and its cells' diameter, as .npy files that every worker maps."""
    cv2.setNumThreads(1)
    image = read_image(path)
    if kind == "fields":
        labels = read_labels(path.with_suffix(".png"))
        planes = field_planes(image)
        planes = np.stack([cv2.resize(p, labels.shape[::-1], interpolation=cv2.INTER_AREA) for p in planes])
        diameter = 2 * FIELD_SCALE
    else:
        labels = read_labels(path.with_name(f"{path.stem}_masks.png"))
        channels = (0,) * PLANES if image.ndim == 2 else (1, 2, 3, 1, 2)
        planes, diameter = to_network_input(image, channels), max(5.0, median_diameter(labels))
    image = packed(planes, labels, diameter)
    np.save(out / f"{kind}_{path.stem}_smooth.npy", image.smooth)
    np.save(out / f"{kind}_{path.stem}_sharp.npy", image.sharp)
    np.save(out / f"{kind}_{path.stem}_diameter.npy", diameter)


def packed(planes: np.ndarray, labels: np.ndarray, diameter: float) -> Packed:
    """Planes (PLANES, Y, X) and labels (Y, X) as the atlas takes them."""
    smooth = np.concatenate([planes, labels_to_flows(labels)]).transpose(1, 2, 0)
    sharp = np.stack([labels > 0, labels >= 0, close_weights(labels, diameter)], axis=-1)
    return Packed(smooth.astype(np.float16), sharp.astype(np.float16), diameter)


def close_weights(labels: np.ndarray, diameter: float) -> np.ndarray:
    """Weights (Y, X) float32 that make much of what is easily merged.

    A cell weighs as the root of how many of its like make a cell of the median area, 0.7 to 2; what lies within an
    eighth of a diameter of two cells, gaps between them included, three times as much (after the weights near contacts
    of Ronneberger et al., MICCAI 2015, eq. 2).
    """
    labels = labels.astype(np.uint16)
    area = np.bincount(labels.ravel())[1:]
    if not area.any():
        return np.ones(labels.shape, np.float32)
    of_label = np.sqrt(np.median(area[area > 0]) / np.maximum(area, 1)).clip(0.7, 2)
    weight = np.concatenate([[1.0], of_label])[labels]
    reach = 2 * max(1, round(diameter / 8)) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    highest = cv2.dilate(labels, disc)
    lowest = cv2.erode(np.where(labels > 0, labels, np.uint16(65535)), disc)
    return np.where((highest > 0) & (lowest < highest), 3 * weight, weight).astype(np.float32)


def field_planes(image: np.ndarray) -> np.ndarray:
    """(PLANES, Y, X) of a composite: its three channels, and the two reporters without transmitted light."""
    both = np.dstack(reporters(image))
    return np.concatenate([to_network_input(image, (1, 2, 3)), to_network_input(both, (1, 2))])


def reporters(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """mRFP and EGFP (Y, X) float32 of a composite (Y, X, 3) uint8, which adds the transmitted light to both.

    Where that saturates, what is left of the reporter cannot be told: it is set, as all above, to what would saturate
    under the brightest light.
    """
    light = image[..., 2].astype(np.float32)
    ceiling = 255 - np.percentile(light, 99)
    red, green = (
        np.where(plane == 255, ceiling, np.clip(plane - light, 0, ceiling)).astype(np.float32)
        for plane in (image[..., 0], image[..., 1])
    )
    return red, green


def listing(data: Path) -> list[tuple[str, Path]]:
    """Kind and file of every packed image, in the atlas's order."""
    fields = [("fields", path) for path in sorted((data / "fields").glob("*.jpg"))]
    nuclei = [("nuclei", path) for path in sorted((data / "nuclei").glob("*.png")) if not path.stem.endswith("_masks")]
    return fields + nuclei + [("simulated", path) for path in sorted((data / "simulated").glob("*.jpg"))]
