"""Choosing where the arithmetic runs."""

import logging

import torch

from cellular.errors import DeviceError

logger = logging.getLogger(__name__)


def resolve_device(name: str = "auto") -> torch.device:
    """Device for `name`: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"mps"``.

    "auto" takes CUDA where there is one, else the CPU, and logs its choice. A device asked for by name that is
    not there raises :class:`~cellular.errors.DeviceError`; nothing is swapped in silence.
    """
    if name == "auto":
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        logger.info("device: %s", device)
        return device
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"Unknown device '{name}'; use auto, cpu, cuda, cuda:N or mps") from error
    if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()):
        raise DeviceError(
            f"Device '{name}' was asked for but this machine has {torch.cuda.device_count()} CUDA device(s); "
            "use --device auto or --device cpu"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("Device 'mps' was asked for but is not available here; use --device auto or --device cpu")
    if device.type not in ("cpu", "cuda", "mps"):
        raise DeviceError(f"Device '{name}' is not supported; use auto, cpu, cuda, cuda:N or mps")
    return device
