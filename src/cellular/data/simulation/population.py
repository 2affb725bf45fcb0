"""Who lives in a field: cells with a size, a shape, an expression level and a state, over timepoints."""

from dataclasses import dataclass, replace

import numpy as np

from cellular.data.simulation.settings import SimulationSettings

HARMONICS = 7

# Share of each build among cells, its mean diameter (of the field's mean), and the spread of that.
BUILDS = {
    "flat": (0.66, 1.12, 0.26),
    "round": (0.17, 0.66, 0.20),
    "spiky": (0.11, 0.95, 0.24),
    "vacuolated": (0.06, 0.92, 0.22),
}
# Share of activated cells at the first timepoint, and of the rest that activate before each next one.
ACTIVATED = {"fed": (0.06, 0.02), "starved": (0.80, 0.35)}
# Fed wells hold fewer and larger cells (43 real fields: about 210 against 300 cells, median 137 against 117 px).
CROWDING = {"fed": 0.82, "starved": 1.15}
SIZE = {"fed": 1.08, "starved": 0.94}


@dataclass(frozen=True)
class Cell:
    """One cell at one timepoint. Lengths in px, (y, x) the centre of its shape, pixel centres at whole numbers.

    Attributes
    ----------
    track, parent : numbers of the track and of the track it divided from (0 = none).
    radius : mean radius of the outline.
    build : flat, round, spiky or vacuolated.
    wobble : (HARMONICS,) complex Fourier coefficients of the outline, relative to the radius, from harmonic 2 on.
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
    wobble: np.ndarray
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
    centres = _place(radii, settings.size_px, rng)
    return [
        Cell(
            track=i + 1,
            parent=0,
            y=centres[i, 0],
            x=centres[i, 1],
            radius=radii[i],
            build=builds[i],
            wobble=_wobble(builds[i], rng),
            expression=_expression(builds[i], rng),
            green=rng.lognormal(0.35, 0.22),
            activated=bool(rng.random() < ACTIVATED[treatment][0]),
            focus=int(rng.choice(3, p=(0.5, 0.35, 0.15) if builds[i] != "round" else (0.75, 0.2, 0.05))),
        )
        for i in range(count)
    ]


def _radius(build: str, treatment: str, settings: SimulationSettings, rng: np.random.Generator) -> float:
    _, mean, spread = BUILDS[build]
    relative = SIZE[treatment] * max(mean * (1 + spread * rng.standard_normal()), 0.36)
    return settings.diameter_px / 2 * min(relative, 2.2)


def _wobble(build: str, rng: np.random.Generator) -> np.ndarray:
    order = np.arange(2, 2 + HARMONICS)
    strength = {"flat": 0.30, "round": 0.10, "spiky": 0.42, "vacuolated": 0.16}[build]
    falloff = order ** (-1.1 if build == "spiky" else -1.6)
    return strength * falloff * (rng.standard_normal(HARMONICS) + 1j * rng.standard_normal(HARMONICS))


def _expression(build: str, rng: np.random.Generator) -> float:
    """Log-normal over three decades: many cells hardly show, some saturate the composite, a few even the camera."""
    median = {"flat": 18, "round": 25, "spiky": 260, "vacuolated": 60}[build]
    return float(median * rng.lognormal(0, 1.25))


def _place(radii: np.ndarray, size: int, rng: np.random.Generator, tries: int = 16) -> np.ndarray:
    """Centres (N, 2) of cells, half of them tried first beside another cell, at a random closest approach."""
    centres = np.empty((len(radii), 2))
    for i, radius in enumerate(radii):
        candidates = rng.uniform(-0.2 * radius, size + 0.2 * radius, (tries, 2))
        if i:
            hosts = rng.integers(0, i, tries // 2)
            angle = rng.uniform(0, 2 * np.pi, tries // 2)
            reach = (radii[hosts] + radius) * rng.uniform(0.75, 1.0, tries // 2)
            beside = centres[hosts] + reach[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
            beside = np.clip(beside, -0.2 * radius, size + 0.2 * radius)
            candidates[: tries // 2] = beside
            if rng.random() < 0.5:
                candidates = candidates[::-1]
        gaps = _closeness(candidates, radius, centres[:i], radii[:i])
        enough = np.flatnonzero(gaps >= rng.uniform(0.55, 0.95))
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
            wobble=_wobble(cell.build, rng),
        )
        for i, sign in enumerate((-1, 1))
    ]


def _drift(cell: Cell, treatment: str, rng: np.random.Generator) -> Cell:
    fresh = _wobble(cell.build, rng)
    return replace(
        cell,
        radius=cell.radius * rng.lognormal(0.01, 0.02),
        wobble=0.95 * cell.wobble + np.sqrt(1 - 0.95**2) * fresh,
        expression=cell.expression * rng.lognormal(0, 0.08),
        activated=cell.activated or bool(rng.random() < ACTIVATED[treatment][1]),
    )
