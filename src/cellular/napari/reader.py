"""What napari asks when a folder is opened."""

from collections.abc import Callable
from pathlib import Path

from napari.utils.notifications import show_info

from cellular.jobs.view import open_run
from cellular.napari.layers import Layer, choices, layers_of


def get_reader(path: str | list[str]) -> Callable[[str], list[Layer]] | None:
    """The reader of a folder; None for files, several things at once, and OME-Zarr, which other plugins read."""
    if not isinstance(path, str) or not Path(path).is_dir() or path.rstrip("/\\").endswith(".zarr"):
        return None
    return read_folder


def read_folder(path: str) -> list[Layer]:
    """Layers of the first field, or of the first position over time, of a plate, a run or a prepared folder.

    Raises MissingInputError or InputError for a folder that is none of these.
    """
    run = open_run(path)
    found = choices(run)
    first = next(iter(found))
    layers = layers_of(run, found[first])
    if len(found) > 1:
        show_info(f"{first}: the first of {len(found)}; Plugins > cellular chooses among them")
    return layers
