"""Puncta: bright spots inside cells, their kind, place, size and contrast."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from cellular.autophagy.measure.puncta_settings import PunctaSettings
from cellular.autophagy.measure.spotiflow import spotiflow_detector
from cellular.autophagy.measure.unmix import REPORTER, Channels
from cellular.jit import njit

KINDS = ("yellow", "red_only", "green_only")
# Every how many pixels the local noise is sampled, and over how wide a window (px), about half a cell.
_STRIDE, _WINDOW = 3, 63
_BAND = 384
# The light off the cells whose photon noise is seen there: the background, but that may be cut off at 0. In noises.
_LEAST_GLOW = 16.0
_CLIPPINGS, _CLIPPED_MEAN = 6, 0.736
# A spot's Hessian may be this much stronger along one axis than the other; edges and fibres are more.
_MOST_ELONGATION = 3.5


def find_puncta(
    channels: Channels,
    labels: np.ndarray,
    settings: PunctaSettings | None = None,
    pixel_size_um: float | None = None,
    names: Sequence[str] = REPORTER,
) -> pd.DataFrame:
    """Spots inside cells, in one pass over the field.

    Maxima over place and scale of the scale-normalised Laplacian of Gaussian (Lindeberg, Int J Comput Vis 30, 79, 1998)
    in either channel, above the local noise of that response inside cells and above a share of the local brightness,
    and not elongated (edges, fibres, rims of vacuoles). Then those found are taken away as Gaussians, and what had been
    lost among them is looked for by the same rules, drawn tighter (as in CLEAN, Högbom, Astron Astrophys Suppl 15,
    417, 1974), once or more often: in a crowd, one hides the next. Saturated regions are left out: no spot can be seen
    there; a spot that is itself saturated is kept. The kind follows from the contrasts of the channels at the same
    place. With another detector, its places stand for the maxima; size, contrast and kind are measured there in the
    same way.

    Parameters
    ----------
    channels : the field's.
    labels : (Y, X), 0 = background.
    names : channels to look in: mRFP and EGFP, whose contrasts give the kind, or one, whose name is the kind.

    Returns
    -------
    One row per punctum: ``label, kind, y, x`` (px, centres of pixels at whole numbers), ``sigma`` (px), ``area`` (px²),
    ``contrast__{name}`` (peak over its surroundings), ``background__{name}`` (local, over the field's) of each channel,
    ``snr`` (of the channel it was found in).
    """
    settings = settings or PunctaSettings()
    sigmas = settings.sigmas(pixel_size_um)
    saturated = channels.saturated[[channels.names.index(name) for name in names]]
    allowed = (labels > 0) & ~_saturated_regions(saturated, sigmas[-1])
    planes = tuple(channels.light(name) for name in names)
    off_cells = [channels.off(name) for name in names]
    starts, given = range(0, labels.shape[0], _BAND), None
    if settings.detector == "spotiflow":
        detect = spotiflow_detector(settings.spotiflow_model, settings.spotiflow_probability)
        given = [_inside(detect(plane), allowed) for plane in planes]

    def look(planes: tuple[np.ndarray, ...], settings: PunctaSettings) -> pd.DataFrame:
        with ThreadPoolExecutor() as pool:
            bands = pool.map(
                lambda start: _band(names, planes, allowed, off_cells, sigmas, settings, start, given), starts
            )
            return pd.concat(bands).sort_values("snr", ascending=False, kind="stable", ignore_index=True)

    spots, before = _clearest(look(planes, settings)), 0
    stricter = {name: settings.second_look * getattr(settings, name) for name in ("snr", "visible")}
    for _ in range(settings.looks if settings.second_look and given is None else 0):
        if len(spots) == before:
            break
        before = len(spots)
        left = tuple(plane - _drawn(spots, name, plane.shape) for name, plane in zip(names, planes))
        spots = _clearest(pd.concat([spots, look(left, replace(settings, **stricter))], ignore_index=True))
    if tuple(names) == REPORTER:
        spots["kind"] = _kinds(spots["contrast__mRFP"], spots["contrast__EGFP"] / settings.balance, settings.kind_ratio)
    else:
        spots["kind"] = pd.Series(names[0], spots.index, object)
    spots["label"] = labels[spots.pop("row"), spots.pop("column")]
    light = [f"{what}__{name}" for what in ("contrast", "background") for name in names]
    return spots[["label", "kind", "y", "x", "sigma", "area", *light, "snr"]].sort_values(
        ["label", "y", "x"], ignore_index=True
    )


def _band(
    names: Sequence[str],
    planes: tuple[np.ndarray, ...],
    allowed: np.ndarray,
    off_cells: list[tuple[float, float]],
    sigmas: np.ndarray,
    settings: PunctaSettings,
    start: int,
    given: list[np.ndarray] | None,
) -> pd.DataFrame:
    """Spots of all channels whose maximum lies in the `_BAND` rows from `start`, seen with a margin either side.

    `given` are places (P, 2) of each channel's spots, where they were found by other means than maxima. Bands
    keep the scale space small enough for the processor's cache, and can be worked on side by side.
    """
    margin = max(_WINDOW // 2, int(4 * sigmas[-1])) // _STRIDE * _STRIDE + _STRIDE
    top = max(0, start - margin)
    window = slice(top, min(allowed.shape[0], start + _BAND + margin))
    inside = allowed[window]
    smooth = [[cv2.GaussianBlur(plane[window], (0, 0), sigma) for sigma in sigmas] for plane in planes]
    response = [_responses(layers, sigmas) for layers in smooth]
    tables = []
    for own in range(len(names)):
        if given is None:
            scale, y, x, snr = _maxima(response[own], smooth[own], inside, off_cells[own], settings)
        else:
            scale, y, x, snr, exact = _at(given[own] - (top, 0), response[own], inside)
        here = (y >= start - top) & (y < start - top + _BAND)
        scale, y, x, snr = scale[here], y[here], x[here], snr[here]
        place, sigma = _refine(response[own], scale, y, x, sigmas)
        place = place if given is None else exact[here].T
        table = {"y": place[0] + top, "x": place[1], "sigma": sigma, "area": 2 * np.pi * sigma**2, "snr": snr}
        for name, layers, heights in zip(names, smooth, response):
            table |= _contrast(name, layers, heights, scale, y, x, sigma, sigmas)
        tables.append(pd.DataFrame(table | {"row": y + top, "column": x}))
    return pd.concat(tables)


def _responses(smooth: list[np.ndarray], sigmas: np.ndarray) -> np.ndarray:
    """(S, Y, X) float32: scale-normalised Laplacian of Gaussian, negated: half the peak of a spot of that sigma."""
    response = np.empty((len(sigmas), *smooth[0].shape), np.float32)
    for layer, image, sigma in zip(response, smooth, sigmas):
        cv2.Laplacian(image, cv2.CV_32F, dst=layer, scale=-(float(sigma) ** 2))
    return response


def _contrast(
    name: str,
    smooth: list[np.ndarray],
    response: np.ndarray,
    scale: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    sigma: np.ndarray,
    sigmas: np.ndarray,
) -> dict[str, np.ndarray]:
    """Peak and local background of each spot in one channel, taking it for a Gaussian of its sigma."""
    at = sigmas[scale]
    peak = response[scale, y, x] * (sigma**2 + at**2) ** 2 / (2 * sigma**2 * at**2)
    level = _pick(smooth, scale, y, x)
    return {f"contrast__{name}": peak, f"background__{name}": level - peak * sigma**2 / (sigma**2 + at**2)}


def _pick(layers: list[np.ndarray], scale: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Value of each point in the layer of its scale."""
    values = np.empty(y.size, np.float32)
    for index, layer in enumerate(layers):
        here = scale == index
        values[here] = layer[y[here], x[here]]
    return values


def _saturated_regions(saturated: np.ndarray, largest_sigma: float) -> np.ndarray:
    """(Y, X) bool: pixels in or beside regions saturated in any channel that are wider than any punctum."""
    either = np.asarray(saturated.any(axis=0), np.uint8)
    if not either.any():
        return either > 0
    radius, margin = 2 * largest_sigma, largest_sigma / 2 + 1
    cores = cv2.distanceTransform(either, cv2.DIST_L2, 3) > radius
    return cv2.distanceTransform((~cores).astype(np.uint8), cv2.DIST_L2, 3) <= radius + margin if cores.any() else cores


def _local_noise(response: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Standard deviation of one scale's response among the surrounding cell pixels, every `_STRIDE` px (Y', X').

    From the mean absolute response, clipped again and again at twice its mean so that the spots themselves, their rings
    and saturated edges count for little. (So clipped, |x| of a standard normal x has the mean `_CLIPPED_MEAN`.)
    """
    size = np.abs(response[::_STRIDE, ::_STRIDE])
    weight = inside[::_STRIDE, ::_STRIDE].astype(np.float32)
    window = (_WINDOW // _STRIDE,) * 2
    share = cv2.boxFilter(weight, -1, window) + 1e-6
    mean = cv2.boxFilter(size * weight, -1, window) / share
    for _ in range(_CLIPPINGS):
        mean = cv2.boxFilter(np.minimum(size, 2 * mean) * weight, -1, window) / share
    return mean / _CLIPPED_MEAN


def _maxima(
    response: np.ndarray,
    smooth: list[np.ndarray],
    allowed: np.ndarray,
    off_cells: tuple[float, float],
    settings: PunctaSettings,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Scale, y, x and snr of one channel's spots; `response` is (S, Y, X), `off_cells` its background and noise."""
    background, pixel_noise = off_cells
    strongest = response.max(axis=0)
    peak = (strongest == cv2.dilate(strongest, np.ones((3, 3), np.uint8))) & allowed
    peak &= 2 * strongest > settings.visible * pixel_noise
    peak[[0, -1]] = peak[:, [0, -1]] = False
    y, x = np.nonzero(peak)
    scale, height = response[:, y, x].argmax(axis=0), strongest[y, x]
    snr = height / _noise_at(response, scale, y, x, allowed)
    around = _pick(smooth, scale, y, x) - height
    glow = max(background, _LEAST_GLOW * pixel_noise)
    expected = pixel_noise * np.sqrt(1 + np.maximum(around, 0) / glow)
    keep = (snr > settings.snr) & (2 * height > np.maximum(settings.contrast * around, settings.visible * expected))
    keep &= _elongation(smooth, scale, y, x) < _MOST_ELONGATION
    return scale[keep], y[keep], x[keep], snr[keep]


def _noise_at(response: np.ndarray, scale: np.ndarray, y: np.ndarray, x: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Local noise of the response at each point in its scale, above 0."""
    noise = [_local_noise(layer, allowed) for layer in response]
    return np.maximum(_pick(noise, scale, y // _STRIDE, x // _STRIDE), 1e-6)


def _inside(places: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Those of the places (P, 2) that lie on allowed pixels, not on the image's rim."""
    y, x = np.round(places).astype(int).T
    rows, columns = allowed.shape
    places, y, x = (v[(y > 0) & (y < rows - 1) & (x > 0) & (x < columns - 1)] for v in (places, y, x))
    return places[allowed[y, x]]


def _at(
    places: np.ndarray, response: np.ndarray, allowed: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Scale, y, x, snr and exact place of spots found at `places`; those that are no brighter than around are left out.

    Places outside this band's rows are left out too: another band has them.
    """
    y, x = np.round(places).astype(int).T
    here = (y > 0) & (y < response.shape[1] - 1)
    places, y, x = places[here], y[here], x[here]
    scale, height = response[:, y, x].argmax(axis=0), response[:, y, x].max(axis=0)
    snr = height / _noise_at(response, scale, y, x, allowed)
    bright = height > 0
    return scale[bright], y[bright], x[bright], snr[bright], places[bright]


def _elongation(smooth: list[np.ndarray], scale: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Stronger over weaker curvature at each point (1 = round); infinite where they are not both downward."""
    at = _patches(smooth, scale, y, x)
    yy, xx = (at[2, 1] - 2 * at[1, 1] + at[0, 1]), (at[1, 2] - 2 * at[1, 1] + at[1, 0])
    xy = (at[2, 2] + at[0, 0] - at[2, 0] - at[0, 2]) / 4
    half, spread = (yy + xx) / 2, np.hypot((yy - xx) / 2, xy)
    weaker = -(half + spread)
    return np.where(weaker > 0, (spread - half) / np.maximum(weaker, 1e-9), np.inf)


def _patches(layers: list[np.ndarray] | np.ndarray, scale: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(3, 3, P): the pixels about each point in the layer of its scale."""
    patches = np.empty((3, 3, y.size), np.float32)
    for index, layer in enumerate(layers):
        here = scale == index
        rows, columns = y[here], x[here]
        for i in range(3):
            for j in range(3):
                patches[i, j, here] = layer[rows + i - 1, columns + j - 1]
    return patches


def _refine(
    response: np.ndarray, scale: np.ndarray, y: np.ndarray, x: np.ndarray, sigmas: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sub-pixel (2, P) y and x, and sigma (P,), at the vertex of parabolas through each maximum and its neighbours."""
    at = _patches(response, scale, y, x)
    place = np.stack([y + _vertex(at[0, 1], at[1, 1], at[2, 1]), x + _vertex(at[1, 0], at[1, 1], at[1, 2])])
    column = response[:, y, x]
    inner = scale.clip(1, len(sigmas) - 2)
    index = np.arange(y.size)
    step = _vertex(column[inner - 1, index], column[inner, index], column[inner + 1, index])
    exponent = np.where(inner == scale, step, 0) + scale
    return place, sigmas[0] * (sigmas[1] / sigmas[0]) ** exponent


def _vertex(before: np.ndarray, at: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Offset of the vertex of a parabola through three equally spaced values, within half a step."""
    curve = before - 2 * at + after
    return np.where(curve < 0, 0.5 * (before - after) / np.where(curve < 0, curve, 1), 0).clip(-0.5, 0.5)


def _clearest(spots: pd.DataFrame) -> pd.DataFrame:
    """`spots`, clearest first, without those too near to one before them."""
    return spots.iloc[_apart(spots[["y", "x"]].to_numpy(), spots["sigma"].to_numpy())].reset_index(drop=True)


def _drawn(spots: pd.DataFrame, name: str, shape: tuple[int, int]) -> np.ndarray:
    """(Y, X) float32: the spots as Gaussians of their contrast in channel `name`."""
    image = np.zeros(shape, np.float32)
    _draw(image, spots[["y", "x", "sigma", f"contrast__{name}"]].to_numpy(np.float64))
    return image


@njit
def _draw(image: np.ndarray, spots: np.ndarray) -> None:  # pragma: no cover - compiled
    """Add each spot (y, x, sigma, height) out to four sigmas."""
    for n in range(spots.shape[0]):
        y, x, sigma, height = spots[n]
        reach = int(4 * sigma) + 1
        for row in range(max(0, int(y) - reach), min(image.shape[0], int(y) + reach + 2)):
            across = height * np.exp(-((row - y) ** 2) / (2 * sigma**2))
            for column in range(max(0, int(x) - reach), min(image.shape[1], int(x) + reach + 2)):
                image[row, column] += across * np.exp(-((column - x) ** 2) / (2 * sigma**2))


def _apart(place: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Indices to keep of (P, 2) places, clearest first: none within 1.2 sigmas (at least 2 px) of a clearer one."""
    if len(place) == 0:
        return np.empty(0, int)
    tree = cKDTree(place)
    near = tree.query_pairs(max(2.0, 1.2 * sigma.max()), output_type="ndarray")
    near = near[np.argsort(near[:, 0], kind="stable")]
    distance = np.hypot(*(place[near[:, 0]] - place[near[:, 1]]).T)
    close = near[distance < np.maximum(2.0, 1.2 * np.maximum(sigma[near[:, 0]], sigma[near[:, 1]]))]
    kept = np.ones(len(sigma), bool)
    for stronger, weaker in close:
        if kept[stronger]:
            kept[weaker] = False
    return np.flatnonzero(kept)


def _kinds(red: np.ndarray, green: np.ndarray, ratio: float) -> np.ndarray:
    """Kind of each punctum from its contrasts."""
    return np.select([green < ratio * red, red < ratio * green], ["red_only", "green_only"], "yellow").astype(object)
