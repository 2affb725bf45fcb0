"""Tracks against true tracks, by traccuracy: Cell Tracking Challenge scores and divisions."""

import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cellular.errors import InputError, import_extra
from cellular.track.export import to_graph


@dataclass(frozen=True)
class TrackScores:
    """How well tracks match the truth; 1 is perfect, NaN where there was nothing to score.

    Attributes
    ----------
    tra, det, lnk : Cell Tracking Challenge TRA (detection and linking), DET and LNK, from the acyclic oriented graph
        matching of Matula et al., PLoS ONE 10, e0144959 (2015).
    division_precision, division_recall, division_f1 : divisions found in the right frame with the right daughters.
    divisions : true divisions, of which a parent and two daughters are seen.
    cells, tracks : true cells (over all frames) and true tracks.
    """

    tra: float
    det: float
    lnk: float
    division_precision: float
    division_recall: float
    division_f1: float
    divisions: int
    cells: int
    tracks: int


def score_tracks(
    truth: pd.DataFrame,
    truth_images: Sequence[np.ndarray],
    tracks: pd.DataFrame,
    images: Sequence[np.ndarray],
) -> TrackScores:
    """Score `tracks` of `images` against `truth` of `truth_images`; needs the extra ``track``.

    Raises InputError where the frames are not as many.

    Parameters
    ----------
    truth, tracks : tables with ``frame, label, y, x, track, parent``, as :func:`cellular.track.link.link` returns.
    truth_images, images : the label images (Y, X) that the ``label`` columns refer to, frame by frame.

    Cells are matched as the challenge matches them: a cell is found when one outline covers more than half of it.
    Divisions are matched one to one, at an intersection over union above one half.
    """
    matchers, metrics = import_extra("traccuracy.matchers", "track"), import_extra("traccuracy.metrics", "track")
    if len(truth_images) != len(images):
        raise InputError(f"The truth has {len(truth_images)} frames, the tracks have {len(images)}")
    by_majority, one_to_one = matchers.CTCMatcher(), matchers.IOUMatcher(iou_threshold=0.5, one_to_one=True)
    with _quiet():
        ctc, division = (
            metric.compute(matcher.compute_mapping(_graph(truth, truth_images), _graph(tracks, images))).results
            for metric, matcher in ((metrics.CTCMetrics(), by_majority), (metrics.DivisionMetrics(), one_to_one))
        )
    division = division["Frame Buffer 0"]
    return TrackScores(
        tra=float(ctc["TRA"]),
        det=float(ctc["DET"]),
        lnk=float(ctc["LNK"]),
        division_precision=float(division["Division Precision"]),
        division_recall=float(division["Division Recall"]),
        division_f1=float(division["Division F1"]),
        divisions=sum(after > 1 for _, after in to_graph(truth).out_degree()),
        cells=len(truth),
        tracks=int(truth["track"].nunique()),
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """traccuracy draws its own bars, and warns about every frame."""
    logging.getLogger("traccuracy").setLevel(logging.ERROR)
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def _graph(tracks: pd.DataFrame, images: Sequence[np.ndarray]) -> Any:
    """traccuracy's view of a table of tracks; it notes findings in the graph, so each comparison gets its own."""
    traccuracy = import_extra("traccuracy", "track")
    graph = to_graph(tracks)
    return traccuracy.TrackingGraph(
        graph, np.stack([image.astype(np.int64) for image in images]), label_key="label", location_keys=("y", "x")
    )
