"""Networks on disk: Cellpose 1-3 state dicts (zip pickles read with `weights_only`) and safetensors."""

import io
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from cellular.errors import MissingInputError, WeightsError
from cellular.files import write_bytes
from cellular.segment.model.network import LEVELS, CPnet

SAFETENSORS = ".safetensors"
DIAMETERS_PX = (1.0, 2000.0)


def load_network(path: str | Path, device: torch.device | str = "cpu") -> CPnet:
    """Load the network in file `path`; channels, width and outputs are read off the weights' shapes.

    Half-precision weights are widened to float32. Raises MissingInputError where there is no file and WeightsError
    for one that is not a complete Cellpose 1-3 state dict, saying what it is instead.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingInputError(f"No such model file: {path}")
    state = read_state(path)
    network = _network_for(state, path)
    own = network.state_dict()
    wrong = [key for key in own if key in state and state[key].shape != own[key].shape]
    if wrong:
        key = wrong[0]
        raise WeightsError(
            f"{path} does not fit Cellpose's network: {key} has shape {tuple(state[key].shape)}, "
            f"not {tuple(own[key].shape)}"
        )
    missing, unexpected = network.load_state_dict(state, strict=False)
    # Cellpose 1 files have no diameters: the defaults (30 px) are the ones those models were trained with.
    missing = [key for key in missing if not key.startswith("diam_") and not key.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise WeightsError(
            f"{path} does not fit Cellpose's network: missing {missing[:3]}, unexpected {unexpected[:3]}"
        )
    if not all(torch.isfinite(value).all() for value in network.state_dict().values()):
        raise WeightsError(f"{path} holds weights that are not finite; training may have diverged")
    low, high = DIAMETERS_PX
    for key in ("diam_mean", "diam_labels"):
        if not low <= (diameter := float(getattr(network, key))) <= high:
            raise WeightsError(f"{path} says {key} = {diameter:g}; diameters of cells are {low:g} to {high:g} px")
    return network.to(device).eval()


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """State dict in `path` as float32 tensors; nothing in the file is executed.

    Raises WeightsError for a file that is damaged, empty, a web page, or a pickle with code.
    """
    head = path.open("rb").read(512)
    if path.suffix == SAFETENSORS:
        try:
            state = load_file(path)
        except SafetensorError as error:
            raise WeightsError(f"{path} is not a safetensors file: {error}") from error
    else:
        if not head:
            raise WeightsError(f"{path} is empty; the download went wrong, delete it")
        if head.lstrip()[:1] == b"<":
            raise WeightsError(f"{path} is a web page, not model weights; the download went wrong, delete it")
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many kinds for damage and for code inside a pickle
            raise WeightsError(
                f"{path} is not a plain Cellpose state dict: damaged, or a pickle with code, which is never run; "
                "download it again, or save the network's state_dict alone"
            ) from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError(f"{path} holds {type(state).__name__}, not a state dict of tensors")
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def _network_for(state: dict[str, torch.Tensor], path: Path) -> CPnet:
    if "W2" in state or any(key.startswith("encoder.") for key in state):
        raise WeightsError(f"{path} is a Cellpose-SAM (Cellpose 4) or transformer model; Cellpose 1-3 models load here")
    try:
        first = [state[f"downsample.down.res_down_{n}.conv.conv_0.2.weight"] for n in range(LEVELS)]
        outputs = state["output.2.weight"].shape[0]
    except KeyError as error:
        raise WeightsError(f"{path} is not a Cellpose 1-3 model: it has no {error.args[0]}") from error
    if any(weight.ndim != 4 for weight in first):
        raise WeightsError(f"{path} is a 3-D model; 2-D models load here")
    return CPnet([first[0].shape[1], *(weight.shape[0] for weight in first)], outputs)


def save_network(path: str | Path, network: CPnet, half: bool = False, metadata: dict[str, str] | None = None) -> None:
    """Save a network: safetensors where `path` ends so, else the file Cellpose writes and reads.

    With `half` the weights are stored in 16 bits (diameters and batch-norm counters keep their type). `metadata` goes
    into a safetensors file's header.
    """
    path = Path(path)
    state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    if half:
        state = {k: v.half() if v.is_floating_point() and not k.startswith("diam_") else v for k, v in state.items()}
    write_bytes(path, save(state, metadata) if path.suffix == SAFETENSORS else torch_bytes(state))


def torch_bytes(value: object) -> bytes:
    """What `torch.save` would write; on a full disk it raises errors of its own, and one more when closing."""
    content = io.BytesIO()
    torch.save(value, content)
    return content.getvalue()
