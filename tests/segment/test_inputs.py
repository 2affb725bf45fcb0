"""Which channels a network is given."""

import numpy as np
import pytest

from cellular.data.image import FieldImage
from cellular.errors import InputError
from cellular.segment.inputs import network_image
from cellular.segment.model.registry import ModelInfo


def test_a_model_without_its_channel_names_every_way_out():
    info = ModelInfo(channels=(1, 2, 3), roles=("mRFP", "EGFP", "transmitted"), optional_roles=("transmitted",))
    image = FieldImage.of(np.zeros((8, 8, 2), np.uint16), ("DNA", "EGFP"))
    with pytest.raises(InputError, match="needs mRFP, the image has DNA, EGFP") as raised:
        network_image(image, info)
    for way in ("--channels mRFP=", "--model", "--labels", "--channels 2 2 2"):
        assert way in str(raised.value)
