"""Uneven light: told from where on the field cells are bright, and taken out again.

A pixel is taken to be offset + profile x light: the offset a constant of the camera, the profile one smooth surface a
channel for all fields, as in Peng et al., Nat Commun 8, 14836, 2017 (BaSiC, which finds any surface and needs many
fields; here it is a bowl of few terms, which some dozen fields settle).
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import cv2
import numpy as np
import pandas as pd

from cellular.autophagy.quality.background import Background, bowl, tile_centres, tiles_of
from cellular.autophagy.quality.levels import quantile
from cellular.autophagy.quality.saturation import saturated_pixels
from cellular.data.image import FieldImage
from cellular.errors import InputError

# Cells in a tile are what is brighter than this share of its 95 % quantile: the same cells however they are lit.
_BRIGHT, _TOP = 0.3, 0.95
# A tile shows cells where that quantile is so many times the noise.
_SEEN = 10.0
# Fewer fields than this say more about their cells than about the lamp.
FEWEST_FIELDS = 12
FEWEST_TILES = 16
_FOLDS, _ROUNDS, _HUBER = 5, 12, 1.345
# The profile helps where it takes a fifth off the deviation that fields it was not fitted to show across positions.
_HELPS = 0.8
# What of the cells' light the background may become more uneven by: that is none.
_SLACK = 0.001
# The background tells the camera's offset where the profile varies by this much.
_VARIED = 0.05
# Terms of each shape of profile besides the constant, simplest first: v and u are -1 to 1 across rows and columns.
_SHAPES = {
    "even": lambda v, u: np.empty((*np.shape(v), 0)),
    "centred": lambda v, u: bowl(v, u)[..., 3:],
    "round": lambda v, u: bowl(v, u)[..., 1:],
    "oval": lambda v, u: np.stack([v, u, v * v, u * u, v * u], axis=-1),
    "steep": lambda v, u: np.stack([v, u, v * v, u * u, v * u, (v * v + u * u) ** 2], axis=-1),
}


@dataclass(frozen=True)
class Profile:
    """How a channel is lit across the field, and what is gained by dividing by it.

    Attributes
    ----------
    channel : as in the columns of quality. fields : how many it rests on.
    shape : a key of the shapes, or "given" for an image.
    terms : (K,) coefficients of the shape's terms. image : (Y, X) float32 of a given profile; its terms are empty.
    offset : the camera's level without light.
    cells_before, cells_after : standard deviation, relative to the mean, of the cells' light from position to position
        on the field, mean over fields; "after" is of fields that the profile was not fitted to.
    background_before, background_after : the same of the background, in levels.
    corner_error : relative standard error of the profile in the corner where it is known least; NaN for a given one.
    slack : levels by which the background is no worse.
    """

    channel: str
    fields: int
    shape: str
    terms: np.ndarray
    offset: float
    cells_before: float
    cells_after: float
    background_before: float
    background_after: float
    image: np.ndarray | None = None
    corner_error: float = np.nan
    slack: float = 0.0

    @property
    def helps(self) -> bool:
        """Whether cells of one kind look more alike across the field, and the background no worse."""
        calmer = self.cells_after < _HELPS * self.cells_before
        return self.shape != "even" and calmer and self.background_after <= 1.1 * self.background_before + self.slack

    def over(self, shape: tuple[int, int]) -> np.ndarray:
        """(Y, X) float32 of the profile on a field of this shape, with mean 1."""
        if self.image is not None:
            surface = cv2.resize(self.image, shape[::-1], interpolation=cv2.INTER_LINEAR)
        else:
            sides = (((np.arange(side) + 0.5) / side * 2 - 1).astype(np.float32) for side in shape)
            surface = _surface(self.shape, self.terms, *np.meshgrid(*sides, indexing="ij"))
        # a fitted surface may fall to nothing in a corner where there were no cells; no lamp does
        surface = np.maximum(surface / surface.mean(), 0.05)
        return (surface / surface.mean()).astype(np.float32)


def light_of_tiles(plane: np.ndarray, ground: Background, channel: str) -> pd.DataFrame:
    """The light of a plane (Y, X) tile by tile, a row each, row by row: what a profile is estimated from.

    Columns: ``channel, tile, light`` (mean of the cells' pixels over the background; NaN where no cells are seen),
    ``background`` (level there) and ``pixels`` of cells. Transmitted light is all light: its background is 0.
    """
    rows = []
    for number, (tile, below) in enumerate(zip(tiles_of(plane), ground.surface.ravel())):
        if channel == "transmitted":
            rows.append((channel, number, float(np.median(tile)), 0.0, tile.size))
            continue
        above = tile - below
        top = quantile(above, _TOP)
        cells = above[above > _BRIGHT * top] if top > max(_SEEN * ground.noise, 1e-9) else above[:0]
        rows.append((channel, number, float(cells.mean()) if cells.size else np.nan, float(below), cells.size))
    return pd.DataFrame(rows, columns=["channel", "tile", "light", "background", "pixels"])


def profiles_by_plate(light: pd.DataFrame, plates: Mapping[str, str]) -> dict[str, Profile]:
    """One profile for the fields of all plates, under "", or one a plate where plates are lit each in their own way.

    Parameters
    ----------
    light : of one channel, as for :func:`estimate_profile`. plates : of each field.

    Plates have their own where every one of them has fields enough and the error on fields left out of the fits is
    smaller by more than its standard error: a plate's own profile rests on fewer cells, and must be worth that. Where
    that of all makes a plate of too few fields more uneven, it has none, and the others may have their own.
    """
    common, errors = _estimate(light)
    parts = {str(name): part for name, part in light.groupby(light["field"].map(plates), sort=True)}
    own = {}
    for name, part in parts.items():
        with suppress(InputError):
            own[name] = _estimate(part)
    few = errors[~errors.index.map(plates).isin(list(own))]
    worse = {str(name) for name, rows in few.groupby(few.index.map(plates)) if _clearly_more(rows)}
    each = False
    if len(parts) > 1 and own and (len(own) == len(parts) or worse):
        own_errors = pd.concat([error["found"] for _, error in own.values()])
        each = not _not_worse(errors["found"].reindex(own_errors.index).to_numpy(), own_errors.to_numpy())
    if not each and not worse:
        return {"": common}
    return {name: own[name][0] if each and name in own else common for name in parts if name not in worse}


def _clearly_more(errors: pd.DataFrame) -> bool:
    """Whether errors ``found`` of fields are above those ``even`` by more than two standard errors."""
    more = (errors["found"] - errors["even"]).to_numpy()
    return len(more) > 2 and bool(more.mean() > 2 * more.std(ddof=1) / np.sqrt(len(more)))


def estimate_profile(light: pd.DataFrame) -> Profile:
    """The profile of one channel from the rows of :func:`light_of_tiles` of many fields (with ``field``).

    Cells are where they are; over many fields every position has had bright ones and dim ones. Each field's tiles are
    divided by the field's own level, and each shape of profile is fitted to all of them (Huber's weights, by the number
    of cells' pixels). The shape is the simplest whose error on fields left out of the fit (five folds) is within a
    standard error of the best one's.

    Raises InputError with fewer than 12 fields that show cells.
    """
    return _estimate(light)[0]


def _estimate(light: pd.DataFrame) -> tuple[Profile, pd.DataFrame]:
    """The profile, and by field the error of one ``found`` without it, and that of an ``even`` one."""
    channel = str(light["channel"].iloc[0])
    fields, tiles, weights, ground = _as_arrays(light, channel)
    folds = np.arange(len(tiles)) % _FOLDS
    errors, held_out, fitted = {}, {}, {}
    for shape in _SHAPES:
        held_out[shape] = np.empty_like(tiles)
        fitted[shape] = [_fit(tiles[folds != fold], weights[folds != fold], shape) for fold in range(_FOLDS)]
        for fold, terms in enumerate(fitted[shape]):
            held_out[shape][folds == fold] = _surface(shape, terms, *tile_centres())
        errors[shape] = _errors(tiles, weights, held_out[shape])
    best = min(errors, key=lambda shape: errors[shape].mean())
    within = {name: _not_worse(errors[name], errors[best]) for name in _SHAPES}
    shape = next(name for name in _SHAPES if within[name])
    found = Profile(channel, len(tiles), shape, _fit(tiles, weights, shape), 0.0, 0.0, 0.0, 0.0, 0.0)
    found = replace(found, corner_error=_corner_error(found, fitted[shape]))
    told = pd.DataFrame({"found": errors[shape], "even": errors["even"]}, fields)
    return _judged(found, tiles, weights, ground, held_out[shape]), told


def _corner_error(profile: Profile, left_out: list[np.ndarray]) -> float:
    """Standard error in the least certain corner, by a jackknife over fits without a part of the fields each."""
    corners = np.array([replace(profile, terms=terms).over((64, 64))[::63, ::63] for terms in left_out])
    count = len(corners)
    spread = np.sqrt((count - 1) / count * np.sum((corners - corners.mean(axis=0)) ** 2, axis=0))
    return float((spread / profile.over((64, 64))[::63, ::63]).max())


def given_profile(image: np.ndarray, light: pd.DataFrame) -> Profile:
    """The profile of one channel as an image (Y, X) of even light shows it, judged by the `light` of fields.

    The camera's dark level must have been taken off the image. It is smoothed (over a fiftieth of its side). Raises
    InputError for an image that is not bright everywhere, or as :func:`estimate_profile` does.
    """
    channel = str(light["channel"].iloc[0])
    if image.ndim != 2 or not np.isfinite(image).all() or image.min() <= 0:
        raise InputError(f"the flat field of {channel} must be one plane that is above 0 everywhere: {image.shape}")
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), max(1.0, max(image.shape) / 50))
    _, tiles, weights, ground = _as_arrays(light, channel)
    surface = np.array([tile.mean() for tile in tiles_of(smooth)])
    profile = Profile(channel, len(tiles), "given", np.empty(0), 0.0, 0.0, 0.0, 0.0, 0.0, smooth)
    return _judged(profile, tiles, weights, ground, np.broadcast_to(surface, tiles.shape))


def correct_field(image: FieldImage, profiles: Mapping[str, Profile]) -> FieldImage:
    """The image with every channel that has a profile evened out: (pixel - offset) / profile + offset, float32.

    Profiles are by channel (:attr:`FieldImage.channels`). Which pixels were saturated is kept.
    """
    if not any(name in profiles for name in image.channels):
        return image
    pixels = image.pixels.astype(np.float32)
    for index, name in enumerate(image.channels):
        if name in profiles:
            offset = np.float32(profiles[name].offset)
            pixels[:, :, index] = (pixels[:, :, index] - offset) / profiles[name].over(image.shape) + offset
    saturated = np.stack([saturated_pixels(image, index) for index in range(len(image.roles))], axis=-1)
    kinds = image.kinds or (image.pixels.dtype,) * len(image.roles)
    return replace(image, pixels=pixels, saturated=saturated, kinds=kinds)


def _as_arrays(light: pd.DataFrame, channel: str) -> tuple[pd.Index, np.ndarray, np.ndarray, np.ndarray]:
    """The fields that show cells in :data:`FEWEST_TILES` or more; their light, weights and background (F, TILES²)."""
    wide = light.pivot(index="field", columns="tile")
    tiles, weights, ground = (wide[name].to_numpy(float) for name in ("light", "pixels", "background"))
    enough = np.isfinite(tiles).sum(axis=1) >= FEWEST_TILES
    if enough.sum() < FEWEST_FIELDS:
        raise InputError(
            f"{channel}: {enough.sum()} fields show cells in enough places; a flat field needs {FEWEST_FIELDS}"
        )
    return wide.index[enough], tiles[enough], np.where(np.isfinite(tiles), weights, 0)[enough], ground[enough]


def _surface(shape: str, terms: np.ndarray, v: np.ndarray, u: np.ndarray) -> np.ndarray:
    return 1 + _SHAPES[shape](v, u) @ np.asarray(terms, dtype=v.dtype)


def _levelled(tiles: np.ndarray, weights: np.ndarray, surface: np.ndarray) -> np.ndarray:
    """Tiles (F, TILES²) over their field's own level, the median of what the profile leaves; NaN without cells."""
    return tiles / np.nanmedian(tiles / surface, axis=1, keepdims=True)


def _fit(tiles: np.ndarray, weights: np.ndarray, shape: str) -> np.ndarray:
    """(K,) terms of a profile of this shape."""
    columns = _SHAPES[shape](*tile_centres())
    columns = np.concatenate([np.ones((len(columns), 1)), columns], axis=1)
    surface = np.ones(len(columns))
    for _ in range(_ROUNDS):
        level = _levelled(tiles, weights, surface)
        off = np.abs(level / surface - 1)
        width = _HUBER * max(1.4826 * float(np.nanmedian(off)), 1e-9)
        robust = weights * np.minimum(1, width / np.maximum(np.nan_to_num(off), 1e-12))
        total = robust.sum(axis=0)
        mean = (robust * np.nan_to_num(level)).sum(axis=0) / np.maximum(total, 1e-12)
        root = np.sqrt(total)
        terms = np.linalg.lstsq(columns * root[:, None], mean * root, rcond=None)[0]
        terms = terms / terms[0]
        surface = np.maximum(columns @ terms, 0.05)
    return terms[1:]


def _errors(tiles: np.ndarray, weights: np.ndarray, surface: np.ndarray) -> np.ndarray:
    """(F,) mean distance of each field's tiles from its level times the profile, relative."""
    surface = np.maximum(surface, 0.05)
    off = np.abs(_levelled(tiles, weights, surface) / surface - 1)
    return (np.nan_to_num(off) * weights).sum(axis=1) / weights.sum(axis=1)


def _not_worse(errors: np.ndarray, best: np.ndarray) -> bool:
    """Whether the mean of paired errors (F,) is within a standard error of the best."""
    more = errors - best
    return bool(more.mean() <= more.std(ddof=1) / np.sqrt(len(more)))


def _judged(
    profile: Profile, tiles: np.ndarray, weights: np.ndarray, ground: np.ndarray, surface: np.ndarray
) -> Profile:
    """The profile with the camera's offset, and what it does to fields, given its `surface` (F, TILES²) over each."""
    mean = surface.mean(axis=0) / surface.mean()
    background = np.median(ground, axis=0)
    offset = _camera_offset(background, mean)
    return replace(
        profile,
        offset=offset,
        cells_before=_deviation(tiles, weights, np.ones_like(surface)),
        cells_after=_deviation(tiles, weights, np.maximum(surface, 0.05)),
        background_before=float(background.std()),
        background_after=float(((background - offset) / mean).std()),
        slack=_SLACK * float(np.nanmedian(tiles)),
    )


def _deviation(tiles: np.ndarray, weights: np.ndarray, surface: np.ndarray) -> float:
    """Relative standard deviation, over positions, of the cells' light, mean over fields, once divided by `surface`."""
    level = np.nan_to_num(_levelled(tiles, weights, surface) / surface)
    total = weights.sum(axis=0)
    means = (weights * level).sum(axis=0)[total > 0] / total[total > 0]
    return float(means.std() / means.mean())


def _camera_offset(background: np.ndarray, profile: np.ndarray) -> float:
    """What of the background (TILES²,) does not follow the profile (mean 1): the level of a camera without light.

    The medium's glow is shaded as the cells are, the camera's offset is not: the background is a line over the profile,
    and its intercept is the offset. Between 0 and the darkest background; where the profile hardly varies, the latter.
    """
    if np.ptp(profile) < _VARIED:
        return float(background.min())
    slope, intercept = np.polyfit(profile, background, 1)
    return float(np.clip(intercept if slope > 0 else background.min(), 0, background.min()))
