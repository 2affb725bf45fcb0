"""Two models on one field, side by side."""

from pathlib import Path

import numpy as np

from cellular.data.formats.images import write_image
from cellular.evaluate.result import EvaluationResult
from cellular.report.evaluation import field_picture


def draw_before_after(before: EvaluationResult, after: EvaluationResult, path: str | Path) -> Path:
    """Write the field that gained most, as `before` and as `after` saw it, to `path`; returns the path.

    Each side is called by the name of its output folder.
    """
    old = {one.name: one for one in before.fields}
    both = [one for one in after.fields if one.name in old]
    most = max(both, key=lambda one: one.instance(0.5).f1 - old[one.name].instance(0.5).f1)
    pair = next(p for p in after.pairs if p.name == most.name)
    panels = [
        field_picture(pair, result.labels[most.name], scores, result.output_dir.name)
        for result, scores in ((before, old[most.name]), (after, most))
    ]
    gap = np.full((panels[0].shape[0], 16, 3), 255, np.uint8)
    return write_image(path, np.hstack([panels[0], gap, panels[1]]))
