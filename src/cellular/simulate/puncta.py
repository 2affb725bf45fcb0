"""Puncta of the tandem reporter: autophagosomes (yellow), autolysosomes (red only), and a few odd green ones."""

from dataclasses import dataclass

import numpy as np

from cellular.simulate.population import Cell
from cellular.simulate.shapes import Shape

# Mean number per cell of the real fields' size, and Beta parameters of the red-only fraction: basal, activated.
COUNT = (7.0, 17.0)
RED_ONLY = ((4.0, 12.0), (17.0, 3.0))
GREEN_ONLY_SHARE = 0.03
# Puncta of one cell keep this many times the sum of their sigmas apart, so that truth can be told apart in the image.
SEPARATION = 1.8
TRIES = 3


@dataclass(frozen=True)
class Puncta:
    """Puncta of one cell, as drawn; arrays of length P.

    Attributes
    ----------
    kind : 'yellow', 'red_only' or 'green_only'.
    y, x : sub-pixel position in px, pixel centres at whole numbers.
    sigma : standard deviation of the Gaussian in the image (px), blur of the optics included.
    red, green : its peak above the surrounding cell in grey levels of the composite.
    """

    kind: np.ndarray
    y: np.ndarray
    x: np.ndarray
    sigma: np.ndarray
    red: np.ndarray
    green: np.ndarray


def draw_puncta(
    cell: Cell, shape: Shape, blocked: np.ndarray, scale: float, blur: float, rng: np.random.Generator
) -> Puncta:
    """Draw a cell's puncta, in a ring about the nucleus, off `blocked` pixels (vacuoles; same shape as the mask).

    The count is gamma-Poisson; fewer fit into a small cell. `blur` (px) is the sigma of the cell's focal plane.
    """
    wanted = rng.poisson(COUNT[cell.activated] * rng.gamma(5.0, 1 / 5.0))
    sigmas = np.sqrt((scale * 1.75 * rng.lognormal(0.2 * cell.activated, 0.4, wanted)) ** 2 + blur**2)
    places, sigmas = _place(shape, blocked, sigmas, rng)
    count = len(places)
    red_share = rng.beta(*RED_ONLY[cell.activated])
    draw = rng.random(count)
    kind = np.where(
        draw < red_share, "red_only", np.where(rng.random(count) < GREEN_ONLY_SHARE, "green_only", "yellow")
    )
    # Blur spreads the same light wider: the peak falls with the square of it.
    peak = 85 * rng.lognormal(0, 0.5, count) * cell.expression**0.12 * (1 - blur**2 / sigmas**2 * 0.6)
    ratio = np.select([kind == "red_only", kind == "yellow"], [0.05 * draw, rng.uniform(0.75, 1.25, count)], 0)
    green_only = kind == "green_only"
    return Puncta(
        kind=kind,
        y=places[:, 0],
        x=places[:, 1],
        sigma=sigmas,
        red=np.where(green_only, 0.0, peak),
        green=np.where(green_only, peak, peak * ratio),
    )


def _place(
    shape: Shape, blocked: np.ndarray, sigmas: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Positions (P, 2) and sigmas (P,) of as many puncta as fit: apart, inside the cell, off what is blocked."""
    rows, columns = np.nonzero(shape.mask & (shape.rho < 0.88) & ~blocked)
    if rows.size == 0 or sigmas.size == 0:
        return np.empty((0, 2)), np.empty(0)
    weight = np.exp(-((shape.rho[rows, columns] - 0.52) ** 2) / (2 * 0.17**2)) + 0.12
    side = np.cos(shape.theta[rows, columns] - rng.uniform(0, 2 * np.pi))
    weight *= 0.25 + np.clip(side + 0.3, 0, 1)  # more of them on one side of the nucleus
    picks = rng.choice(rows.size, size=TRIES * sigmas.size, p=weight / weight.sum())
    pixels = np.stack([rows[picks] + shape.box[0], columns[picks] + shape.box[1]], axis=1)
    places = pixels + rng.uniform(-0.5, 0.5, pixels.shape)
    tried = np.tile(sigmas, TRIES)
    apart2 = ((places[:, None] - places[None]) ** 2).sum(axis=2)
    crowded = apart2 < (SEPARATION * (tried[:, None] + tried[None])) ** 2
    free = np.ones(len(places), bool)
    chosen: list[int] = []
    for i in range(len(places)):
        if free[i] and len(chosen) < sigmas.size:
            chosen.append(i)
            free &= ~crowded[i]
    return places[chosen], tried[chosen]
