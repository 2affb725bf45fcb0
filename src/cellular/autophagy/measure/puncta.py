"""Puncta: bright spots inside cells, their kind, place, size and contrast."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from cellular.autophagy.measure.puncta_settings import PunctaSettings
from cellular.autophagy.measure.scale_space import ScaleSpace, noise_at
from cellular.autophagy.measure.spotiflow import spotiflow_detector
from cellular.autophagy.measure.unmix import REPORTER, Channels

KINDS = ("yellow", "red_only", "green_only")
# The light off the cells whose photon noise is seen there: the background, but that may be cut off at 0. In noises.
_LEAST_GLOW = 16.0
# Spots seen in both channels that tell how these lie on each other.
_FEWEST_PAIRS = 5
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
    planes = [channels.light(name) for name in names]
    given: dict[str, np.ndarray] = {}
    if settings.detector == "spotiflow":
        detect = spotiflow_detector(settings.spotiflow_model, settings.spotiflow_probability)
        given = {name: _inside(detect(plane), allowed) for name, plane in zip(names, planes)}

    with ThreadPoolExecutor() as pool:
        spaces = dict(zip(names, pool.map(lambda plane: ScaleSpace(plane, sigmas), planes)))

        def look(settings: PunctaSettings) -> pd.DataFrame:
            found = pool.map(
                lambda own: _seen_in(own, spaces, allowed, channels.off(own), settings, given.get(own)), names
            )
            return pd.concat(found).sort_values("snr", ascending=False, kind="stable", ignore_index=True)

        seen = look(settings)
        spots, before = _clearest(seen), 0
        stricter = {name: settings.second_look * getattr(settings, name) for name in ("snr", "visible")}
        for _ in range(settings.looks if settings.second_look and not given else 0):
            fresh, before = spots[before:], len(spots)
            if fresh.empty:
                break
            gaussians = [_as_seen_in(name, fresh, seen) for name in names]
            list(pool.map(ScaleSpace.take_away, spaces.values(), gaussians))
            seen = look(replace(settings, **stricter))
            spots = _clearest(pd.concat([spots, seen], ignore_index=True))
    if tuple(names) == REPORTER:
        spots["kind"] = _kinds(spots["contrast__mRFP"], spots["contrast__EGFP"] / settings.balance, settings.kind_ratio)
    else:
        spots["kind"] = pd.Series(names[0], spots.index, object)
    spots["label"] = labels[spots.pop("row"), spots.pop("column")]
    light = [f"{what}__{name}" for what in ("contrast", "background") for name in names]
    return spots[["label", "kind", "y", "x", "sigma", "area", *light, "snr"]].sort_values(
        ["label", "y", "x"], ignore_index=True
    )


def _seen_in(
    own: str,
    spaces: Mapping[str, ScaleSpace],
    allowed: np.ndarray,
    off_cells: tuple[float, float],
    settings: PunctaSettings,
    given: np.ndarray | None,
) -> pd.DataFrame:
    """Spots of channel `own`, measured in the `spaces` of all channels; `off_cells` is its background and noise.

    `given` are places (P, 2) of spots, where they were found by other means than maxima.
    """
    space = spaces[own]
    strongest, noise = space.responses(allowed)
    if given is None:
        scale, y, x, snr = _maxima(space, strongest, noise, allowed, off_cells, settings)
        place, sigma = _refine(space, scale, y, x)
    else:
        scale, y, x, snr, exact = _at(given, space, noise)
        place, sigma = exact.T, _refine(space, scale, y, x)[1]
    table = {"y": place[0], "x": place[1], "sigma": sigma, "area": 2 * np.pi * sigma**2, "snr": snr}
    for name, other in spaces.items():
        table |= _contrast(name, other, scale, y, x, sigma)
    return pd.DataFrame(table | {"row": y, "column": x, "own": own})


def _as_seen_in(name: str, spots: pd.DataFrame, seen: pd.DataFrame) -> np.ndarray:
    """(P, 4) of y, x, sigma and contrast of `spots` in channel `name`, where those of other channels lie in it.

    Channels may lie a pixel beside each other: as spots `seen` in both do, in the median. Taken away beside its place,
    a spot leaves half of itself, which looks like one that had been hidden.
    """
    gaussians = spots[["y", "x", "sigma", f"contrast__{name}"]].to_numpy(float)
    other, own = (spots["own"] != name).to_numpy(), seen.loc[seen["own"] == name, ["y", "x"]].to_numpy(float)
    if other.any() and len(own):
        distance, nearest = cKDTree(own).query(gaussians[other, :2])
        pairs = distance < np.maximum(2.0, 1.2 * gaussians[other, 2])
        if pairs.sum() >= _FEWEST_PAIRS:
            gaussians[other, :2] += np.median(own[nearest[pairs]] - gaussians[other, :2][pairs], axis=0)
    return gaussians


def _contrast(
    name: str, space: ScaleSpace, scale: np.ndarray, y: np.ndarray, x: np.ndarray, sigma: np.ndarray
) -> dict[str, np.ndarray]:
    """Peak and local background of each spot in one channel, taking it for a Gaussian of its sigma."""
    at = space.sigmas[scale]
    peak = space.response(scale, y, x) * (sigma**2 + at**2) ** 2 / (2 * sigma**2 * at**2)
    level = space.level(scale, y, x)
    return {f"contrast__{name}": peak, f"background__{name}": level - peak * sigma**2 / (sigma**2 + at**2)}


def _saturated_regions(saturated: np.ndarray, largest_sigma: float) -> np.ndarray:
    """(Y, X) bool: pixels in or beside regions saturated in any channel that are wider than any punctum."""
    either = np.asarray(saturated.any(axis=0), np.uint8)
    radius, margin = 2 * largest_sigma, largest_sigma / 2 + 1
    # far faster than distances: where no square fits in, no disc that holds one does
    if not cv2.erode(either, np.ones((2 * int(radius / 2) + 1,) * 2, np.uint8)).any():
        return np.zeros(either.shape, bool)
    cores = cv2.distanceTransform(either, cv2.DIST_L2, 3) > radius
    return cv2.distanceTransform((~cores).astype(np.uint8), cv2.DIST_L2, 3) <= radius + margin if cores.any() else cores


def _maxima(
    space: ScaleSpace,
    strongest: np.ndarray,
    noise: np.ndarray,
    allowed: np.ndarray,
    off_cells: tuple[float, float],
    settings: PunctaSettings,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Scale, y, x and snr of one channel's spots, from what :meth:`ScaleSpace.responses` gives."""
    background, pixel_noise = off_cells
    y, x = _peaks(strongest, allowed, settings.visible * pixel_noise / 2)
    scale, height = _best_scale(space, y, x)
    snr = height / noise_at(noise, scale, y, x)
    around = space.level(scale, y, x) - height
    glow = max(background, _LEAST_GLOW * pixel_noise)
    expected = pixel_noise * np.sqrt(1 + np.maximum(around, 0) / glow)
    keep = (snr > settings.snr) & (2 * height > np.maximum(settings.contrast * around, settings.visible * expected))
    keep &= _elongation(space, scale, y, x) < _MOST_ELONGATION
    return scale[keep], y[keep], x[keep], snr[keep]


def _peaks(strongest: np.ndarray, allowed: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """y and x of the pixels (Y, X), not on the rim, that are allowed, above `least`, and not below any neighbour."""
    width, flat = strongest.shape[1], strongest.ravel()
    above = (strongest > least) & allowed
    above[[0, -1]] = above[:, [0, -1]] = False
    at = np.flatnonzero(above)
    for row in (-width, 0, width):
        for step in (row - 1, row, row + 1):
            at = at[flat[at] >= flat[at + step]]
    return np.divmod(at, width)


def _best_scale(space: ScaleSpace, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale of the strongest response at each point, and that response."""
    column = space.response(np.arange(len(space.sigmas))[:, None], y, x)
    return column.argmax(axis=0), column.max(axis=0)


def _inside(places: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Those of the places (P, 2) that lie on allowed pixels, not on the image's rim."""
    y, x = np.round(places).astype(int).T
    rows, columns = allowed.shape
    places, y, x = (v[(y > 0) & (y < rows - 1) & (x > 0) & (x < columns - 1)] for v in (places, y, x))
    return places[allowed[y, x]]


def _at(
    places: np.ndarray, space: ScaleSpace, noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Scale, y, x, snr and exact place of spots found at `places`, without those no brighter than around them."""
    y, x = np.round(places).astype(int).T
    scale, height = _best_scale(space, y, x)
    snr = height / noise_at(noise, scale, y, x)
    bright = height > 0
    return scale[bright], y[bright], x[bright], snr[bright], places[bright]


def _elongation(space: ScaleSpace, scale: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Stronger over weaker curvature at each point (1 = round); infinite where they are not both downward."""
    step = np.arange(-1, 2)
    at = space.level(scale, y + step[:, None, None], x + step[:, None])
    yy, xx = (at[2, 1] - 2 * at[1, 1] + at[0, 1]), (at[1, 2] - 2 * at[1, 1] + at[1, 0])
    xy = (at[2, 2] + at[0, 0] - at[2, 0] - at[0, 2]) / 4
    half, spread = (yy + xx) / 2, np.hypot((yy - xx) / 2, xy)
    weaker = -(half + spread)
    return np.where(weaker > 0, (spread - half) / np.maximum(weaker, 1e-9), np.inf)


def _refine(space: ScaleSpace, scale: np.ndarray, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sub-pixel (2, P) y and x, and sigma (P,), at the vertex of parabolas through each maximum and its neighbours."""
    step, sigmas = np.arange(-1, 2)[:, None], space.sigmas
    inner = scale.clip(1, len(sigmas) - 2)
    place = np.stack(
        [y + _vertex(*space.response(scale, y + step, x)), x + _vertex(*space.response(scale, y, x + step))]
    )
    narrower = _vertex(*space.response(inner + step, y, x))
    exponent = np.where(inner == scale, narrower, 0) + scale
    return place, sigmas[0] * (sigmas[1] / sigmas[0]) ** exponent


def _vertex(before: np.ndarray, at: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Offset of the vertex of a parabola through three equally spaced values, within half a step."""
    curve = before - 2 * at + after
    return np.where(curve < 0, 0.5 * (before - after) / np.where(curve < 0, curve, 1), 0).clip(-0.5, 0.5)


def _clearest(spots: pd.DataFrame) -> pd.DataFrame:
    """`spots`, clearest first, without those too near to one before them."""
    return spots.iloc[_apart(spots[["y", "x"]].to_numpy(), spots["sigma"].to_numpy())].reset_index(drop=True)


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
