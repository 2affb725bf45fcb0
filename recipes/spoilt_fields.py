"""Are fields seen that the model fails on? Real fields spoilt on purpose, one at a time, beside others of their plate.

    python recipes/spoilt_fields.py --fields FIELDS

FIELDS holds the annotated CELLULAR fields (`images-color/`, `boxes/`). The first field of each position is spoilt in
each way, segmented by the starter and flagged, or not, by the rules of `cellular quality` beside all other fields as
they are. Prints a row a way: F1 by the experts' boxes, and how many are flagged, for what. The starter has learned from
these fields, so that F1 as they are is too high; what counts here is how far it falls.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

sys.path.insert(0, str(Path(__file__).parent / "starter"))

from boxes import iou_matrix, read_boxes
from crossval import right_boxes, unit_of
from skimage.measure import regionprops

import cellular
from cellular.autophagy.quality.field import measure_quality
from cellular.autophagy.quality.flags import flag_fields
from cellular.data.image import FieldImage, read_field
from cellular.data.plate import FieldFiles


def blurred(sigma: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda pixels: gaussian_filter(pixels, (sigma, sigma, 0))


def noisy(share: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda pixels: pixels + np.random.default_rng(0).normal(0, 255 * share, pixels.shape)


def dimmed(pixels: np.ndarray) -> np.ndarray:
    """A lamp at an eighth; 8 bits keep what they keep."""
    return pixels / 8


def shaded(pixels: np.ndarray) -> np.ndarray:
    """Light falls from all to nothing from left to right."""
    return pixels * np.linspace(1, 0, pixels.shape[1])[None, :, None]


def moved(pixels: np.ndarray) -> np.ndarray:
    """The stage moved by 60 px between red and the other channels."""
    return np.dstack([np.roll(pixels[..., 0], 60, axis=1), pixels[..., 1:]])


WAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as it is": lambda pixels: pixels,
    **{f"blurred, {sigma} px": blurred(sigma) for sigma in (2, 4, 6, 10, 20)},
    **{f"noise of {share:g} of the range": noisy(share) for share in (0.1, 0.3)},
    "twice the exposure": lambda pixels: pixels * 2,
    "four times the exposure": lambda pixels: pixels * 4,
    "an eighth of the light": dimmed,
    "light falling off to one side": shaded,
    "red shifted by 60 px": moved,
}


def f1_by_boxes(labels: np.ndarray, scores: np.ndarray, truth: np.ndarray) -> float:
    boxes = np.array([region.bbox for region in regionprops(labels)], float).reshape(-1, 4)
    right = right_boxes(iou_matrix(boxes, truth), scores).sum()
    return 2 * right / (len(boxes) + len(truth))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fields", type=Path, required=True)
    args = parser.parse_args()
    segmenter = cellular.Segmenter.from_pretrained("starter")
    plate = cellular.find_plate(args.fields / "images-color")
    about = plate.table().set_index("field")

    def look(item: FieldFiles, spoil: Callable[[np.ndarray], np.ndarray]) -> tuple[float, pd.DataFrame]:
        pixels = spoil(read_field(item).pixels.astype(np.float32)).clip(0, 255).astype(np.uint8)
        found = segmenter.segment(pixels)
        truth = read_boxes(args.fields / "boxes" / f"{item.name}.txt", len(pixels))
        image = FieldImage.of(pixels, kind="composite")
        table = measure_quality(image, item.name, found.labels, about.loc[item.name].to_dict())["quality"]
        return f1_by_boxes(found.labels, found.scores, truth), table

    usual, scores, chosen = [], {}, {}
    for item in plate.fields:
        scores[item.name], row = look(item, WAYS["as it is"])
        usual.append(row)
        chosen.setdefault(unit_of(item.name, "position"), item)
    plain = pd.concat(usual, ignore_index=True)
    print("| way | F1, mean | F1, lowest | fell by 0.1 or more | of these flagged | others flagged | why |")
    print("|---|---|---|---|---|---|---|")
    for way, spoil in WAYS.items():
        f1, flagged, fell, why = [], [], [], set()
        for item in chosen.values():
            score, row = look(item, spoil)
            told, _ = flag_fields(pd.concat([plain[plain["field"] != item.name], row], ignore_index=True))
            f1.append(score)
            flagged.append(bool(told["flagged"].iloc[-1]))
            fell.append(score <= scores[item.name] - 0.1)
            why |= {reason.split(":")[0] for reason in told["reasons"].iloc[-1].split("; ") if reason}
        bad, seen = np.array(fell), np.array(flagged)
        cells = [way, f"{np.mean(f1):.3f}", f"{min(f1):.3f}", f"{bad.sum()} of {len(bad)}"]
        cells += [f"{(bad & seen).sum()}", f"{(~bad & seen).sum()}", ", ".join(sorted(why))]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
