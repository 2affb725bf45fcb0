"""How puncta are found."""

from dataclasses import dataclass, replace

import numpy as np

from cellular.errors import SettingsError

# Smallest and largest standard deviation of a spot: in CELLULAR's images, whose cells measure CELL_PX across; and where
# the pixel size is known. LC3 puncta are 0.5 to 1.5 um wide (Klionsky et al., Autophagy 17, 1, 2021), plus blur.
SIGMAS_PX, CELL_PX = (1.4, 5.6), 121.0
SIGMAS_UM = (0.25, 0.9)
# Nothing finer is a spot: a microscope's blur is wider than this on pixels that sample it, and steps between pixels,
# as along a cell's edge, look like spots to a finer filter.
LEAST_PX = 0.75


@dataclass(frozen=True)
class PunctaSettings:
    """How puncta are found.

    Attributes
    ----------
    min_sigma, max_sigma : smallest and largest standard deviation of a spot, in `unit`. None takes :data:`SIGMAS_UM`
        where the pixel size is known, else the share of the cells' diameter that suits CELLULAR's (:data:`SIGMAS_PX` of
        cells of :data:`CELL_PX`); never under :data:`LEAST_PX`.
    unit : "px" or "um"; um needs the pixel size.
    scales : scales tried between them, spaced evenly in their logarithm.
    snr : a spot's response over that of its surroundings inside cells (texture, other spots), at least.
    visible : a spot's peak over its surroundings, at least, in standard deviations of a pixel, taken off the cells and
        grown with the square root of the local brightness (photon noise).
    contrast : a spot's peak over its local background, as a share of that background above the field's, at least.
    kind_ratio : the weaker channel's contrast over the stronger's, at least, for a punctum to be yellow.
    second_look : factor on snr and visible for spots seen only after the brighter ones are taken away; 0 never looks.
    looks : looks after the first, at most; they end where one finds nothing. More than one where puncta crowd.
    balance : contrast in EGFP of a neutral punctum over that in mRFP (1 for the dataset's composites).
    detector : "log", or "spotiflow": then the places come from that network; snr, visible and contrast do not apply.
    spotiflow_model, spotiflow_probability : see :func:`cellular.autophagy.measure.spotiflow.spotiflow_detector`.
    """

    min_sigma: float | None = None
    max_sigma: float | None = None
    unit: str = "px"
    scales: int = 5
    snr: float = 2.3
    visible: float = 13.0
    contrast: float = 0.15
    kind_ratio: float = 0.35
    second_look: float = 1.35
    looks: int = 1
    balance: float = 1.0
    detector: str = "log"
    spotiflow_model: str = "general"
    spotiflow_probability: float | None = None

    def __post_init__(self) -> None:
        if self.detector not in ("log", "spotiflow"):
            raise SettingsError(f"detector is '{self.detector}'; choose log or spotiflow")
        if self.unit not in ("px", "um"):
            raise SettingsError(f"unit is '{self.unit}'; choose px or um")
        low, high = self.min_sigma, self.max_sigma
        if (low is None) != (high is None):
            raise SettingsError(f"min_sigma {self.min_sigma} and max_sigma {self.max_sigma}: give both or neither")
        if low is not None and high is not None and not 0 < low < high < np.inf:
            raise SettingsError(f"min_sigma {self.min_sigma} and max_sigma {self.max_sigma}: want 0 < min < max")
        if self.scales < 3:
            raise SettingsError(f"scales is {self.scales}; sizes need at least 3")
        if self.second_look and self.second_look < 1:
            raise SettingsError(f"second_look is {self.second_look}; it must be 1 or more, or 0 for none")
        if self.looks < 1:
            raise SettingsError(f"looks is {self.looks}; it must be 1 or more (second_look 0 never looks again)")
        for name in ("snr", "kind_ratio", "balance"):
            if not getattr(self, name) > 0:
                raise SettingsError(f"{name} is {getattr(self, name)}; it must be above 0")

    def resolved(self, pixel_size_um: float | None, cell_px: float | None = None) -> "PunctaSettings":
        """The settings with sizes: those given, else by the pixel size (um), else by the cells' diameter (px).

        Raises SettingsError for sizes in um without a pixel size, and for puncta too small for the pixels.
        """
        if self.min_sigma is not None:
            return self
        self._check_unit(pixel_size_um)
        if pixel_size_um:
            (low, high), unit, least = SIGMAS_UM, "um", LEAST_PX * pixel_size_um
            by = f"the pixel size of {pixel_size_um:g} um"
        else:
            scale, unit, least = (cell_px or CELL_PX) / CELL_PX, "px", LEAST_PX
            by = f"the cells' diameter of {cell_px or CELL_PX:g} px"
            low, high = (sigma * scale for sigma in SIGMAS_PX)
        if high <= 2 * least:
            raise SettingsError(
                f"puncta of sigma {low:.2g} to {high:.2g} {unit}, by {by}, are too small for these pixels: give "
                "--min_sigma and --max_sigma, or the right size of pixels or cells"
            )
        return replace(self, min_sigma=max(low, least), max_sigma=high, unit=unit)

    def _check_unit(self, pixel_size_um: float | None) -> None:
        if self.unit == "um" and not pixel_size_um:
            raise SettingsError("puncta sizes in um need the pixel size: give --pixel_size")

    def sigmas(self, pixel_size_um: float | None) -> np.ndarray:
        """The scales in px."""
        self._check_unit(pixel_size_um)
        sized = self.resolved(pixel_size_um)
        per_px = pixel_size_um if pixel_size_um and sized.unit == "um" else 1.0
        low, high = np.array([sized.min_sigma, sized.max_sigma], float) / per_px
        return np.geomspace(low, high, self.scales)
