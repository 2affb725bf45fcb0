"""A trained model for other tools: ONNX, and a BioImage.IO package that holds it with everything needed to use it."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import torch

from cellular import __version__
from cellular.data.archive.catalogue import DATASET_CITATION
from cellular.data.formats.images import read_image, write_image
from cellular.errors import SettingsError, WeightsError, import_extra
from cellular.files import whole_file
from cellular.segment.image.normalize import PERCENTILES
from cellular.segment.model.network import CPnet
from cellular.segment.model.registry import Model, load_model
from cellular.simulate.field import simulate_field
from cellular.simulate.settings import SimulationSettings

ONNX_OPSET = 18
TOLERANCE = 1e-3
EXAMPLE_SIZE = 256
EPSILON = 1e-6
OUTPUTS = ("flow_y", "flow_x", "cell_probability")
CELLPOSE_CITATION = ("Stringer C. et al. Cellpose. Nature Methods 18, 100-106 (2021)", "10.1038/s41592-020-01018-x")
LICENCE = "BSD-3-Clause"


class _OutputOnly(torch.nn.Module):
    """The network without its style vector."""

    def __init__(self, network: CPnet):
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.network(image)[0]


def export_onnx(model: str | Path, out: str | Path) -> Path:
    """Write a model, by name or file, as ONNX; returns the file.

    Input ``image``: (batch, channels, Y, X) float32, normalised, Y and X multiples of 8 and any size. Output
    ``output``: (batch, 3, Y, X): flow y, flow x (five times the unit vector), cell probability (logit). What was
    written is run with onnxruntime on another batch and size and compared with the network.

    Raises WeightsError for a model that cannot be had or that ONNX computes differently (by over 1e-3).
    """
    return _write_onnx(load_model(model).network, Path(out))


def _write_onnx(network: CPnet, out: Path) -> Path:
    for module in ("onnx", "onnxscript", "onnxruntime"):
        import_extra(module, "onnx")
    out = out if out.suffix == ".onnx" else out.with_name(out.name + ".onnx")
    wrapped = _OutputOnly(network).eval()
    size = torch.export.Dim
    shapes = ({0: size("batch"), 2: network.divisor * size("rows"), 3: network.divisor * size("columns")},)
    example = torch.rand(2, network.channels, 8 * network.divisor, 8 * network.divisor)
    with _quiet(), whole_file(out) as temporary:
        program = torch.onnx.export(
            wrapped,
            (example,),
            input_names=["image"],
            output_names=["output"],
            dynamo=True,
            dynamic_shapes=shapes,
            opset_version=ONNX_OPSET,
            external_data=False,
            verbose=False,
        )
        if program is None:  # as its type says; with dynamo there always is one
            raise WeightsError(f"{out}: ONNX was given nothing to write")
        program.save(temporary)
        _check_onnx(wrapped, temporary, torch.rand(1, network.channels, 10 * network.divisor, 7 * network.divisor))
    return out


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's own running commentary."""
    loggers = [logging.getLogger(name) for name in ("onnxscript", "torch.onnx")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)


def _check_onnx(network: torch.nn.Module, path: Path, image: torch.Tensor) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        expected = network(image).numpy()
    difference = float(np.abs(session.run(None, {"image": image.numpy()})[0] - expected).max())
    if not difference <= TOLERANCE:
        raise WeightsError(
            f"the ONNX model's output differs by {difference:.2g} from the network's; nothing was written"
        )


def export_bioimageio(
    model: str | Path,
    out: str | Path,
    *,
    author: str | None,
    test_image: str | Path | None = None,
    name: str | None = None,
    licence: str = LICENCE,
    cite: Sequence[tuple[str, str]] = (CELLPOSE_CITATION, (DATASET_CITATION, "10.1038/s41597-023-02687-x")),
) -> Path:
    """Write a model, by name or file, as a BioImage.IO package (``.zip``); returns the file.

    The package holds the ONNX weights, a test input and output, a cover, citations and the licence, and how to
    normalise. The test image is rescaled to the model's cell diameter; without one, simulated cells are taken.

    Raises WeightsError, and SettingsError without `author` (who answers for the package).
    """
    spec = import_extra("bioimageio.spec.model.v0_5", "bioimageio")
    from bioimageio.spec import save_bioimageio_package

    if not author:
        raise SettingsError("A BioImage.IO package names who made it: give --author 'Your Name'")
    loaded, out = load_model(model), Path(out)
    out = out if out.suffix == ".zip" else out.with_name(out.name + ".zip")
    with TemporaryDirectory() as folder:
        parts = _write_parts(loaded, Path(folder), test_image)
        with _quiet(), whole_file(out) as temporary:
            description = _describe(spec, loaded, parts, author, name or f"cellular {loaded.path.stem}", licence, cite)
            temporary.unlink()
            save_bioimageio_package(description, output_path=temporary)
    return out


def _write_parts(model: Model, folder: Path, test_image: str | Path | None) -> dict[str, Path]:
    """The package's files: weights, test tensors, cover, documentation."""
    network = model.network
    raw = example_input(model, test_image)
    with torch.inference_mode():
        output = _OutputOnly(network).eval()(torch.from_numpy(normalise(raw)))
    parts = {key: folder / f"{key}.npy" for key in ("test_input", "test_output")}
    np.save(parts["test_input"], raw)
    np.save(parts["test_output"], output.numpy())
    parts["weights"] = _write_onnx(network, folder / "weights.onnx")
    parts["cover"] = write_image(folder / "cover.png", _cover(raw[0], output[0].numpy()))
    parts["readme"] = folder / "README.md"
    parts["readme"].write_text(_documentation(model), encoding="utf-8")
    return parts


def example_input(model: Model, test_image: str | Path | None = None) -> np.ndarray:
    """(1, channels, 256, 256) float32 as the network's channels, not normalised, with cells of its diameter."""
    diameter = float(model.network.diam_mean)
    if test_image is None:
        settings = SimulationSettings(fields=1, size_px=EXAMPLE_SIZE, diameter_px=max(diameter, 16.0))
        image = simulate_field(settings).composite()
    else:
        image = read_image(test_image)
        scale = diameter / (model.diameter or diameter)
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[:EXAMPLE_SIZE, :EXAMPLE_SIZE]
        image = image[: image.shape[0] // 8 * 8, : image.shape[1] // 8 * 8]
        if min(image.shape[:2]) < 64:
            raise SettingsError(
                f"{test_image} is too small: {image.shape[:2]} px at the network's scale, 64 are needed"
            )
    planes = np.atleast_3d(image).astype(np.float32)
    chosen = [
        (planes.mean(axis=2) if place == 0 else np.zeros(planes.shape[:2], np.float32))
        if channel == 0
        else planes[:, :, channel - 1]
        for place, channel in enumerate(model.info.channels)
    ]
    return np.stack(chosen)[None]


def normalise(raw: np.ndarray) -> np.ndarray:
    """What BioImage.IO's ``scale_range`` does with percentiles 1 and 99 per channel: our normalisation, to rounding."""
    low, high = np.percentile(raw, PERCENTILES, axis=(2, 3), keepdims=True)
    return ((raw - low) / (high - low + EPSILON)).astype(np.float32)


def _cover(planes: np.ndarray, output: np.ndarray) -> np.ndarray:
    """The test input, and beside it the cell probability: (Y, 2 X, 3) uint8."""
    grey = np.clip(normalise(planes[None])[0, 0], 0, 1)
    probability = 1 / (1 + np.exp(-output[2]))
    return np.repeat((np.hstack([grey, probability]) * 255).astype(np.uint8)[:, :, None], 3, axis=2)


def _documentation(model: Model) -> str:
    trained = f"The training labels' mean diameter is {model.diameter:.1f} px." if model.diameter else ""
    diameter = float(model.network.diam_mean)
    return f"""# {model.path.stem}

Cell segmentation with Cellpose's residual U-Net, exported by cellular {__version__}. {model.info.about}

Input: {model.network.channels} channels (image channels {list(model.info.channels)}; 0 is grey, then empty), each
scaled so that its 1st and 99th percentile become 0 and 1. Rescale images so that cells are about
{diameter:.0f} px wide. {trained}

Output: flow y, flow x (five times the unit vector toward a cell's centre) and cell probability (logit). Following the
flows to where they end gives the instances: `cellular.segment.flows_to_labels`, or Cellpose's dynamics.

## Validation

Score predicted label images against expert labels with `cellular evaluate` (average precision, panoptic quality),
on images that were not trained on.
"""


def _describe(
    spec: Any,  # the module, which comes with an extra
    model: Model,
    parts: Mapping[str, Path],
    author: str,
    name: str,
    licence: str,
    cite: Sequence[tuple[str, str]],
) -> Any:
    """The package's description, checked by bioimageio.spec as it is built."""
    network = model.network
    size = {"size": spec.ParameterizedSize(min=8 * network.divisor, step=network.divisor)}
    channels = [spec.Identifier(f"channel{n + 1}") for n in range(network.channels)]
    scaling = spec.ScaleRangeKwargs(
        axes=[spec.AxisId("y"), spec.AxisId("x")],
        min_percentile=PERCENTILES[0],
        max_percentile=PERCENTILES[1],
        eps=EPSILON,
    )
    image = spec.InputTensorDescr(
        id=spec.TensorId("image"),
        description="Channels of the image, cells at the network's diameter",
        axes=[
            spec.BatchAxis(),
            spec.ChannelAxis(channel_names=channels),
            spec.SpaceInputAxis(id=spec.AxisId("y"), **size),
            spec.SpaceInputAxis(id=spec.AxisId("x"), **size),
        ],
        test_tensor=spec.FileDescr(source=parts["test_input"]),
        data=spec.IntervalOrRatioDataDescr(type="float32"),
        preprocessing=[spec.ScaleRangeDescr(kwargs=scaling)],
    )
    like = {axis: spec.SizeReference(tensor_id=spec.TensorId("image"), axis_id=spec.AxisId(axis)) for axis in "yx"}
    output = spec.OutputTensorDescr(
        id=spec.TensorId("output"),
        description="Flow y, flow x, cell probability (logit)",
        axes=[
            spec.BatchAxis(),
            spec.ChannelAxis(channel_names=[spec.Identifier(name) for name in OUTPUTS]),
            *(spec.SpaceOutputAxis(id=spec.AxisId(axis), size=like[axis]) for axis in "yx"),
        ],
        test_tensor=spec.FileDescr(source=parts["test_output"]),
        data=spec.IntervalOrRatioDataDescr(type="float32"),
    )
    weights = spec.OnnxWeightsDescr(source=parts["weights"], opset_version=ONNX_OPSET)
    return spec.ModelDescr(
        name=name,
        description=model.info.about or "Cell segmentation: flows and cell probability (Cellpose architecture)",
        covers=[spec.FileDescr(source=parts["cover"])],
        documentation=spec.FileDescr(source=parts["readme"]),
        authors=[spec.Author(name=author)],
        cite=[spec.CiteEntry(text=text, doi=spec.Doi(doi)) for text, doi in cite],
        license=spec.LicenseId(licence),
        tags=["cellpose", "instance-segmentation", "2d", "fluorescence-light-microscopy", "cells"],
        inputs=[image],
        outputs=[output],
        weights=spec.WeightsDescr(onnx=weights),
    )
