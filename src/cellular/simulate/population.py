"""Who lives in a field: cells with a size, a shape, an expression level and a state, over timepoints."""

from dataclasses import dataclass, replace

import numpy as np

from cellular.simulate.settings import SimulationSettings

ANGLES = 96
# Builds that spread on the dish, rather than round up.
SPREAD = ("flat", "spiky")

# Share of each build among cells, its mean diameter (of the field's mean), and the spread of that.
BUILDS = {
    "flat": (0.66, 1.19, 0.27),
    "round": (0.17, 0.70, 0.20),
    "spiky": (0.11, 1.02, 0.24),
    "vacuolated": (0.06, 1.0, 0.22),
}
# Share of activated cells at the first timepoint, and of the rest that activate before each next one.
ACTIVATED = {"fed": (0.06, 0.02), "starved": (0.80, 0.35)}
# Fed wells hold fewer and larger cells (43 real fields: about 210 against 300 cells, median 137 against 117 px).
CROWDING = {"fed": 0.82, "starved": 1.15}
SIZE = {"fed": 1.08, "starved": 0.94}
# Share of cells that settle beside another cell rather than anywhere.
CLUMPING = 0.92


@dataclass(frozen=True)
class Cell:
    """One cell at one timepoint. Lengths in px, (y, x) the centre of its shape, pixel centres at whole numbers.

    Attributes
    ----------
    track, parent : numbers of the track and of the track it divided from (0 = none).
    radius : mean radius of the outline.
    build : flat, round, spiky or vacuolated.
    outline : (ANGLES,) distance of the outline from the centre over the radius, from angle 0 (along x) towards y.
    expression : peak diffuse mRFP in grey levels of the composite (255 = saturated).
    green : EGFP over mRFP of the diffuse signal.
    activated : whether autophagy is activated.
    focus : index of the focal plane the cell lies in, 0 = sharp.
    """

    track: int
    parent: int
    y: float
    x: float
    radius: float
    build: str
    outline: np.ndarray
    expression: float
    green: float
    activated: bool
    focus: int


def first_cells(settings: SimulationSettings, treatment: str, rng: np.random.Generator) -> list[Cell]:
    """Cells of a new field: a broad spread of sizes and expression, in clusters, touching and overlapping."""
    count = settings.cells_per_field
    if count is None:
        count = max(1, round(settings.real_density_count * CROWDING[treatment] * rng.lognormal(0, 0.16)))
    builds = rng.choice(list(BUILDS), size=count, p=[share for share, _, _ in BUILDS.values()])
    radii = np.array([_radius(build, treatment, settings, rng) for build in builds])
    # Small round cells lie on top of others; the rest mostly spread beside one another.
    closest = np.where(builds == "round", rng.uniform(0.25, 0.9, count), rng.uniform(0.5, 0.95, count))
    centres = _place(radii, closest, settings.size_px, rng)
    return [
        Cell(
            track=i + 1,
            parent=0,
            y=centres[i, 0],
            x=centres[i, 1],
            radius=radii[i],
            build=builds[i],
            outline=_outline(builds[i], rng),
            expression=_expression(builds[i], rng),
            green=rng.lognormal(0.35, 0.14),
            activated=bool(rng.random() < ACTIVATED[treatment][0]),
            focus=int(rng.choice(3, p=(0.6, 0.3, 0.1) if builds[i] != "round" else (0.75, 0.2, 0.05))),
        )
        for i in range(count)
    ]


def _radius(build: str, treatment: str, settings: SimulationSettings, rng: np.random.Generator) -> float:
    _, mean, spread = BUILDS[build]
    relative = SIZE[treatment] * max(mean * (1 + spread * rng.standard_normal()), 0.36)
    return settings.diameter_px / 2 * min(relative, 2.2)


def _outline(build: str, rng: np.random.Generator) -> np.ndarray:
    """Relative radii (ANGLES,): smooth waves, and for spiky cells a polygon of few sides with blunt corners."""
    theta = np.arange(ANGLES) * (2 * np.pi / ANGLES)
    order = np.arange(2, 9)[:, None]
    strength = {"flat": 0.32, "round": 0.12, "spiky": 0.28, "vacuolated": 0.14}[build]
    waves = rng.standard_normal(order.shape) * np.cos(order * (theta - rng.uniform(0, 2 * np.pi, order.shape)))
    radii = 1 + strength * (order**-1.3 * waves).sum(axis=0)
    if build == "spiky":
        sides = rng.integers(4, 7)
        normals = (np.arange(sides) + rng.uniform(-0.3, 0.3, sides)) * (2 * np.pi / sides) + rng.uniform(0, 2 * np.pi)
        facing = np.maximum(np.cos(theta - normals[:, None]), 0) / rng.uniform(0.55, 1.25, (sides, 1))
        radii = radii * (facing**6).sum(axis=0) ** (-1 / 6)
        radii = radii / radii.mean()
    return np.clip(radii, 0.45, 2.0)


def _expression(build: str, rng: np.random.Generator) -> float:
    """Log-normal over three decades: many cells hardly show, some saturate the composite, a few even the camera."""
    median = {"flat": 21, "round": 25, "spiky": 190, "vacuolated": 60}[build]
    return float(median * rng.lognormal(0, 1.25))


def _place(radii: np.ndarray, closest: np.ndarray, size: int, rng: np.random.Generator, tries: int = 16) -> np.ndarray:
    """Centres (N, 2) of cells, most of them beside another cell so that they clump and leave bare ground.

    `closest` (N,) is the least distance to any other cell over the sum of both radii; where none of the tried places
    keeps it, the roomiest is taken.
    """
    centres = np.empty((len(radii), 2))
    for i, radius in enumerate(radii):
        low, high = -0.2 * radius, size + 0.2 * radius
        candidates = rng.uniform(low, high, (tries, 2))
        if i and rng.random() < CLUMPING:
            hosts = rng.integers(0, i, tries)
            angle = rng.uniform(0, 2 * np.pi, tries)
            reach = (radii[hosts] + radius) * np.maximum(closest[i], rng.uniform(0.7, 1.0, tries))
            beside = centres[hosts] + reach[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
            candidates = np.concatenate([np.clip(beside, low, high), candidates])
        gaps = _closeness(candidates, radius, centres[:i], radii[:i])
        enough = np.flatnonzero(gaps >= closest[i])
        centres[i] = candidates[enough[0] if enough.size else gaps.argmax()]
    return centres


def _closeness(candidates: np.ndarray, radius: float, centres: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """For each candidate centre, the least distance to a cell over the sum of both radii; inf without cells."""
    distance = np.linalg.norm(candidates[:, None] - centres[None], axis=2)
    return (distance / (radius + radii)).min(axis=1, initial=np.inf)


def next_cells(
    cells: list[Cell], next_track: int, settings: SimulationSettings, treatment: str, rng: np.random.Generator
) -> list[Cell]:
    """The same field one timepoint later: cells step, change a little, activate; some are replaced by two daughters.

    `next_track` is the first free track number.
    """
    later: list[Cell] = []
    for cell in cells:
        if rng.random() < settings.division_rate:
            later += _divide(cell, next_track, rng)
            next_track += 2
            continue
        step = rng.normal(0, settings.motion_diameters * settings.diameter_px / np.sqrt(2), 2)
        later.append(replace(cell, y=cell.y + step[0], x=cell.x + step[1]))
    return [_drift(cell, treatment, rng) for cell in later]


def _divide(cell: Cell, track: int, rng: np.random.Generator) -> list[Cell]:
    """Two daughters side by side across a random axis, each with half the parent's area."""
    angle = rng.uniform(0, np.pi)
    radius = cell.radius / np.sqrt(2)
    offset = 0.9 * radius * np.array([np.sin(angle), np.cos(angle)])
    return [
        replace(
            cell,
            track=track + i,
            parent=cell.track,
            y=cell.y + sign * offset[0],
            x=cell.x + sign * offset[1],
            radius=radius,
            outline=_outline(cell.build, rng),
        )
        for i, sign in enumerate((-1, 1))
    ]


def _drift(cell: Cell, treatment: str, rng: np.random.Generator) -> Cell:
    return replace(
        cell,
        radius=cell.radius * rng.lognormal(0.01, 0.02),
        outline=0.85 * cell.outline + 0.15 * _outline(cell.build, rng),
        expression=cell.expression * rng.lognormal(0, 0.08),
        activated=cell.activated or bool(rng.random() < ACTIVATED[treatment][1]),
    )
