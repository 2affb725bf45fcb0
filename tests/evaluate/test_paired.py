"""Two models on the same fields: resampled together, so that what is hard for both cancels out."""

from dataclasses import replace

import numpy as np
import pytest

from cellular.data.formats.images import write_image, write_labels
from cellular.errors import InputError
from cellular.evaluate.paired import paired_differences
from cellular.jobs.evaluate import evaluate


def scored(folder, name, found):
    """Four fields of as many cells as their number; the model finds `found(n)` of n."""
    for n in (1, 2, 3, 4):
        truth = np.zeros((20, 100), np.uint16)
        for k in range(n):
            truth[2:18, 20 * k + 2 : 20 * k + 18] = k + 1
        write_image(folder / "test" / f"f{n}.png", np.zeros((20, 100), np.uint8))
        write_labels(folder / "test" / f"f{n}_masks.png", truth)
        write_labels(folder / name / f"f{n}_masks.tif", np.where(truth <= found(n), truth, 0))
    return evaluate(folder / "test", folder / f"{name}_out", labels_dir=folder / name)


def test_a_model_that_finds_one_cell_less_in_every_field(tmp_path):
    every, less = scored(tmp_path, "every", lambda n: n), scored(tmp_path, "less", lambda n: n - 1)
    name = "instance.0.50.recall"
    row = paired_differences(less, every, [name]).iloc[0]
    # 6 of 10 cells against 10 of 10
    assert (row["first"], row["second"], row["difference"]) == pytest.approx((0.6, 1.0, 0.4))
    # no draw of fields makes it worse than all of 4 cells (0.25) or better than all of 1 (1.0)
    assert 0.25 <= row["low"] < 0.4 < row["high"] <= 1.0
    same = paired_differences(every, every, [name]).iloc[0]
    assert (same["difference"], same["low"], same["high"]) == (0, 0, 0)


def test_other_fields_are_refused(tmp_path):
    every = scored(tmp_path, "every", lambda n: n)
    with pytest.raises(InputError, match="different fields"):
        paired_differences(every, replace(every, fields=every.fields[1:]), ["aji"])
