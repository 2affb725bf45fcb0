"""Settings of a simulation."""

from dataclasses import dataclass

from cellular.errors import SettingsError

# The real fields (43 of them): mean diameter 121 px at 2048 px, which is what the published settings assume too.
REAL_DIAMETER_PX = 121.0
REAL_SIZE_PX = 2048
REAL_CELLS_PER_FIELD = 260


@dataclass(frozen=True)
class SimulationSettings:
    """What to simulate. Same settings, same bytes.

    Attributes
    ----------
    fields : positions (well and site); each is imaged at every timepoint.
    size_px : side of a field in px; the archive's fields have 2048.
    timepoints : images of each position, over which cells move, divide and activate.
    seed : any whole number from 0 to 2^31 - 1.
    cells_per_field : cells placed in each field at the first timepoint; None is as dense as the real fields, and as
        different from field to field.
    diameter_px : mean cell diameter in px; puncta, vacuoles and blur shrink along with it, down to what a pixel holds.
    unidentified_share : share of the cells (0..1) that the simulated expert could not classify.
    division_rate : probability (0..1) that a cell divides before the next timepoint.
    motion_diameters : standard deviation of a cell's step between timepoints, in cell diameters.
    """

    fields: int = 6
    size_px: int = REAL_SIZE_PX
    timepoints: int = 1
    seed: int = 0
    cells_per_field: int | None = None
    diameter_px: float = REAL_DIAMETER_PX
    unidentified_share: float = 0.05
    division_rate: float = 0.05
    motion_diameters: float = 0.08

    def __post_init__(self) -> None:
        for name, least, most in (
            ("fields", 1, 600),
            ("size_px", 64, 8192),
            ("timepoints", 1, 999),
            ("seed", 0, 2**31 - 1),
            ("cells_per_field", 1, 20000),
            ("diameter_px", 16, 400),
            ("unidentified_share", 0, 1),
            ("division_rate", 0, 1),
            ("motion_diameters", 0, 1),
        ):
            value = getattr(self, name)
            if name == "cells_per_field" and value is None:
                continue
            if not least <= value <= most:
                raise SettingsError(f"{name} is {value}; choose {least} to {most}")

    @property
    def scale(self) -> float:
        """Length of anything in this simulation over its length in the real fields."""
        return self.diameter_px / REAL_DIAMETER_PX

    @property
    def real_density_count(self) -> float:
        """Cells that a field of this size and diameter holds at the real fields' density."""
        return REAL_CELLS_PER_FIELD * (self.size_px / REAL_SIZE_PX / self.scale) ** 2
