"""Make tests/train/fixtures/cellpose_training.npz with cellpose==3.1.1.3: run in the peer's environment.

    benchmarks/.venv-peer/bin/python benchmarks/make_training_fixtures.py

- Where Cellpose's random crops lie: its augmentation is run on an image of x coordinates and one of y coordinates, from
  which each crop's flip, rotation, scale and centre can be read off.
- Its loss on random tensors, and its learning rates for a few lengths of training.
"""

import tempfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from cellpose import train, transforms
from cellpose.resnet_torch import CPnet
from cellpose.train import _loss_fn_seg

OUT = Path(__file__).parent.parent / "tests" / "train" / "fixtures" / "cellpose_training.npz"
SHAPE, CROP, DIAMETER, DRAWS = (300, 400), 64, 45.0, 3000


def views() -> np.ndarray:
    """(DRAWS, 5): flip, angle, scale, and where the crop's centre lies in the field (x, y)."""
    np.random.seed(0)  # noqa: NPY002 - Cellpose draws from the global generator
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float32)
    planes = np.stack([x, y])
    rows = []
    while len(rows) < DRAWS:
        crops, _, scale = transforms.random_rotate_and_resize(
            [planes], rescale=np.array([DIAMETER / 30]), scale_range=0.5, xy=(CROP, CROP)
        )
        # Steps of the field's coordinates along one crop pixel, at the crop's centre (inside the field).
        centre = crops[0][:, CROP // 2 - 1 : CROP // 2 + 1, CROP // 2 - 1 : CROP // 2 + 1]
        gradient = np.array([[centre[k, 0, 1] - centre[k, 0, 0], centre[k, 1, 0] - centre[k, 0, 0]] for k in (0, 1)])
        if abs(abs(np.linalg.det(gradient)) * scale[0] ** 2 - 1) > 0.05:
            continue  # the centre touches the empty border
        flip = np.linalg.det(gradient) < 0
        forward = np.linalg.inv(gradient)  # crop step for one field step
        angle = np.arctan2(forward[1, 0] * (-1 if flip else 1), forward[0, 0] * (-1 if flip else 1)) % (2 * np.pi)
        rows.append([flip, angle, scale[0], *centre.mean(axis=(1, 2))])
    return np.array(rows, np.float32)


class _Recorder(torch.optim.SGD):
    """SGD that notes the learning rate of every step."""

    seen: ClassVar[list[float]] = []

    def step(self, closure: Any = None) -> None:
        self.seen.append(self.param_groups[0]["lr"])


def rates(epochs: int) -> np.ndarray:
    """Learning rate of every epoch of Cellpose's own `train_seg`, noted down while it trains a toy network."""
    image = np.random.default_rng(0).random((2, 32, 32)).astype(np.float32)
    labels = np.kron(np.arange(1, 17).reshape(4, 4), np.ones((8, 8))).astype(np.uint16)
    _Recorder.seen.clear()
    torch.optim.SGD, original = _Recorder, torch.optim.SGD
    try:
        with tempfile.TemporaryDirectory() as folder:
            train.train_seg(
                CPnet([2, 2, 2, 2, 2], 3, 3),
                [image],
                [labels],
                SGD=True,
                learning_rate=0.2,
                n_epochs=epochs,
                normalize=False,
                bsize=16,
                min_train_masks=1,
                save_path=folder,
                rescale=False,
            )
    finally:
        torch.optim.SGD = original
    return np.array(_Recorder.seen)


def main() -> None:
    rng = np.random.default_rng(0)
    output = rng.normal(size=(3, 3, 20, 24)).astype(np.float32)
    labels = rng.normal(size=(3, 3, 20, 24)).astype(np.float32)
    labels[:, 0] = rng.random((3, 20, 24)) > 0.6
    loss = float(_loss_fn_seg(labels, torch.from_numpy(output), torch.device("cpu")))
    np.savez_compressed(
        OUT,
        views=views(),
        loss=loss,
        output=output,
        labels=labels,
        **{f"rates_{epochs}": rates(epochs) for epochs in (5, 50, 150, 500)},
    )


if __name__ == "__main__":
    main()
