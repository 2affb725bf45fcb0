"""A field to try things on."""

import numpy as np

from cellular.data.image import FieldImage
from cellular.napari.layers import Layer, image_layers, placing
from cellular.simulate.field import simulate_field
from cellular.simulate.settings import SimulationSettings

# As many pixels a cell as the dataset's: the shipped model takes it without a word about the diameter.
SETTINGS = SimulationSettings(fields=1, size_px=768)


def simulated_field() -> list[Layer]:
    """EGFP, mRFP and transmitted light of a simulated field, and its true label image."""
    made = simulate_field(SETTINGS)
    egfp, mrfp, transmitted = made.channels
    image = FieldImage.of(np.stack([mrfp, egfp, transmitted], -1), ("mRFP", "EGFP", "transmitted"))
    return [*image_layers([image], placing(None)), (made.labels(), {"name": "truth", "visible": False}, "labels")]
