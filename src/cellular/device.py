"""Choosing where the arithmetic runs, and setting it up to run well."""

import ctypes
import logging
import sys
from functools import cache
from typing import Literal

import torch

from cellular.errors import DeviceError, SettingsError

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


def has_bfloat16(device: torch.device) -> bool:
    """Whether `device` computes in bfloat16: most CUDA GPUs, and processors with the instructions (AVX512-BF16, AMX).

    Elsewhere torch imitates it, some ten times slower than single precision. Torch before 2.9 does not say of a
    processor: it counts as one without.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    able = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(able.get(name, False) for name in ("avx512_bf16", "amx_bf16", "arm_bf16"))


def resolve_precision(asked: str, device: torch.device) -> Literal["float32", "bfloat16"]:
    """The precision that a network runs in on `device`: as asked for, or by "auto" as suits the processor.

    "auto" is bfloat16 on a CPU that has it and float32 anywhere else, GPUs included, where it was not measured. Asked
    for by name it is taken anywhere, so that a run begun on one machine can go on at another.
    """
    if asked == "float32":
        return "float32"
    if asked not in ("auto", "bfloat16"):
        raise SettingsError(f"precision is auto, float32 or bfloat16, got {asked!r}")
    suits = device.type == "cpu" and has_bfloat16(device)
    return "bfloat16" if asked == "bfloat16" or suits else "float32"


@cache
def keep_freed_memory() -> None:
    """Let glibc keep freed activations instead of handing each back to the kernel and faulting it in again.

    The largest single gain of the forward pass on a CPU (about a third), and a tenth of a training step. Once a
    process, on Linux with glibc only; up to the peak of one pass stays with the process.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another libc: nothing to tune
        return
    trim_threshold, mmap_threshold = -1, -3
    mallopt(mmap_threshold, 1 << 30)
    mallopt(trim_threshold, (1 << 31) - 1)
