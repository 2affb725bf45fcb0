"""The errors a user can meet. Every message names the file or value at fault and what to do about it."""

import importlib
import sys
from collections.abc import Mapping
from types import ModuleType


class CellularError(Exception):
    """Base of every error this package raises on purpose."""


class PartDone(Exception):
    """Not a fault: a part of a job is done, and the rest is for ``cellular gather``.

    Attributes
    ----------
    problems : name of an item that was passed over -> why.
    """

    def __init__(self, message: str, problems: Mapping[str, str]):
        super().__init__(message)
        self.problems = dict(problems)


class InputError(CellularError, ValueError):
    """A file or value that was handed in cannot be used."""


class MissingInputError(CellularError, FileNotFoundError):
    """A file or folder that was named is not there."""


class OutputExistsError(CellularError, FileExistsError):
    """The output folder holds something else already."""


class OutputError(CellularError, OSError):
    """A file or folder cannot be written: read-only, disk full, name too long."""


class SettingsError(CellularError, ValueError):
    """A setting is unknown, out of range or contradicts another."""


class WeightsError(CellularError):
    """Model weights are unknown, not obtainable or not what they claim to be."""


class DeviceError(CellularError):
    """The device that was asked for is not on this machine."""


class DownloadError(CellularError):
    """A download failed, was cut short or is not what it should be."""


class EngineError(CellularError):
    """The workers that were asked for cannot start, or cannot be reached."""


class MissingExtraError(CellularError, ImportError):
    """An optional dependency is needed for what was asked."""


# Extras that bring nothing before Python 3.11: what they would bring is not made for it.
_FROM_3_11 = frozenset(("czi", "napari", "zarr"))


def import_extra(module: str, extra: str) -> ModuleType:
    """Import an optional dependency, or raise :class:`MissingExtraError` naming the extra that brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        where = ", on Python 3.11 or newer" if extra in _FROM_3_11 and sys.version_info < (3, 11) else ""
        raise MissingExtraError(
            f"This needs the Python package '{module}', which is not installed. "
            f"Install it with: pip install 'cellular[{extra}]'{where}"
        ) from error
