"""How true and predicted cells overlap: the one pass over the pixels that every score is read off."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from cellular.errors import InputError
from cellular.jit import njit
from cellular.labels.cells import without_gaps

# Up to this many (true, predicted) pairs the counts are kept in a dense table.
DENSE_CELLS = 4_000_000
# A prediction with more than this share of its pixels in ignored ones is neither right nor wrong.
IGNORED_SHARE = 0.5


@dataclass(frozen=True)
class Overlap:
    """Pixels shared by true and predicted cells; cells are numbered 0..N-1 in order of their labels.

    Attributes
    ----------
    true_labels, predicted_labels : (N,) and (M,) labels of the cells that are scored.
    shared : (N, M) sparse matrix of shared pixels.
    true_area, predicted_area : (N,) and (M,) px, ignored pixels left out.
    background : (2, 2) pixels by [true cell?, predicted cell?].
    """

    true_labels: np.ndarray
    predicted_labels: np.ndarray
    shared: sparse.csr_matrix
    true_area: np.ndarray
    predicted_area: np.ndarray
    background: np.ndarray

    @cached_property
    def pairs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Overlapping pairs: indices of the true and the predicted cell, and their intersection over union."""
        table = self.shared.tocoo()
        true, predicted = table.row.astype(np.int64), table.col.astype(np.int64)
        shared = table.data.astype(float)
        return true, predicted, shared / (self.true_area[true] + self.predicted_area[predicted] - shared)


def overlap(truth: np.ndarray, prediction: np.ndarray, ignore: np.ndarray | None = None) -> Overlap:
    """Overlap of two label images.

    Parameters
    ----------
    truth, prediction : (Y, X) unsigned integer label images, 0 = background.
    ignore : (Y, X), nonzero where nobody knows the truth. Those pixels count for nothing; a predicted cell with more
        than half of its pixels there is left out altogether, as is a true cell with none elsewhere.

    Raises
    ------
    InputError : shapes differ.
    """
    if truth.shape != prediction.shape or (ignore is not None and ignore.shape != truth.shape):
        raise InputError(f"label images differ in shape: truth {truth.shape}, prediction {prediction.shape}")
    (true_names, truth), (predicted_names, prediction) = map(_numbered, (truth, prediction))
    ignored = 0
    if ignore is not None and ignore.any():
        outside = ignore == 0
        ignored = outside.size - np.count_nonzero(outside)
        whole = np.bincount(prediction.ravel())
        truth, prediction = np.where(outside, truth, 0), np.where(outside, prediction, 0)
        kept = np.bincount(prediction.ravel(), minlength=len(whole)) >= (1 - IGNORED_SHARE) * whole
        prediction = np.where(kept[prediction], prediction, 0)
    table = _counts(np.ascontiguousarray(truth), np.ascontiguousarray(prediction))
    true_area, predicted_area = (np.asarray(table.sum(axis=axis)).ravel() for axis in (1, 0))
    true_labels, predicted_labels = np.flatnonzero(true_area[1:]) + 1, np.flatnonzero(predicted_area[1:]) + 1
    both = table[1:, 1:].sum()
    only_predicted, only_true = predicted_area[1:].sum() - both, true_area[1:].sum() - both
    background = np.array([[table[0, 0] - ignored, only_predicted], [only_true, both]])
    return Overlap(
        true_labels if true_names is None else true_names[true_labels - 1],
        predicted_labels if predicted_names is None else predicted_names[predicted_labels - 1],
        table[true_labels][:, predicted_labels],
        true_area[true_labels].astype(float),
        predicted_area[predicted_labels].astype(float),
        background,
    )


def _numbered(labels: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """A label image, numbered anew where its labels are far above the number of pixels, and then what they were."""
    return without_gaps(labels) if labels.max(initial=0) > max(labels.size, DENSE_CELLS) else (None, labels)


def _counts(truth: np.ndarray, prediction: np.ndarray) -> sparse.csr_matrix:
    """Pixels by (true label, predicted label), background included."""
    rows, columns = int(truth.max(initial=0)) + 1, int(prediction.max(initial=0)) + 1
    if rows * columns <= DENSE_CELLS:
        return sparse.csr_matrix(_count_dense(truth.ravel(), prediction.ravel(), rows, columns))
    keys, counts = np.unique(truth.ravel().astype(np.int64) * columns + prediction.ravel(), return_counts=True)
    return sparse.csr_matrix((counts, (keys // columns, keys % columns)), shape=(rows, columns))


@njit
def _count_dense(truth: np.ndarray, prediction: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Contingency table; runs of equal pairs, which label images are made of, cost one write each."""
    table = np.zeros((rows, columns), np.int64)
    if truth.size == 0:
        return table
    t, p, run = truth[0], prediction[0], 0
    for i in range(truth.size):
        if truth[i] == t and prediction[i] == p:
            run += 1
        else:
            table[t, p] += run
            t, p, run = truth[i], prediction[i], 1
    table[t, p] += run
    return table
