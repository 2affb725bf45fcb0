"""Which of a field's channels a network is given."""

from collections.abc import Sequence

import numpy as np

from cellular.data.image import FieldImage
from cellular.errors import InputError
from cellular.segment.model.registry import ModelInfo


def network_image(
    image: FieldImage, info: ModelInfo, channels: Sequence[int] | None = None
) -> tuple[np.ndarray, tuple[int, ...]]:
    """The image (Y, X) or (Y, X, C) to segment, and which of its channels go in (see :func:`to_network_input`).

    `channels`, numbers from 1 with 0 for grey, hold where they are given. Else a model that knows its channels by role
    gets those: what it can do without, and the field does not have, is dark. A single channel stands for all of them,
    and a picture whose colours nobody has named is taken colour by colour. Others get the numbers of their training.

    Raises InputError where the model needs a role that no channel has.
    """
    if channels is not None:
        return image.array(), tuple(channels)
    count = image.pixels.shape[2]
    named = any(image.roles)
    if not info.roles or count == 1 or image.kind == "composite" or (image.kind == "picture" and not named):
        return image.array(), info.channels
    missing = [role for role in info.roles if role not in info.optional_roles and not image.has(role)]
    if missing:
        have = ", ".join(role or "one not known" for role in image.roles)
        example = next((number for number, role in enumerate(image.roles, 1) if role in info.roles), 1)
        raise InputError(
            f"the model needs {' and '.join(missing)}, the image has {have}; name its channels with --channels "
            f"{missing[0]}=..., show it one channel in place of all by adding their numbers (--channels "
            f"{' '.join([str(example)] * len(info.roles))}), take a --model for what there is, or give --labels"
        )
    dark = np.zeros(image.shape, image.pixels.dtype)
    planes = [image.plane(role) if image.has(role) else dark for role in info.roles]
    return np.stack(planes, axis=-1), tuple(range(1, len(planes) + 1))
