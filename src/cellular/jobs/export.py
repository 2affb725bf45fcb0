"""`cellular export`: label images, or a model, in another tool's format."""

from dataclasses import dataclass
from pathlib import Path

from cellular.data.formats.labelled import find_labelled
from cellular.data.formats.write import EXPORTS
from cellular.errors import SettingsError
from cellular.files import alone_in
from cellular.jobs.export_model import export_bioimageio, export_onnx

MODELS = ("bioimageio", "onnx")


@dataclass(frozen=True)
class Exported:
    """`written`: files or folders. `fields`: how many are in them; 0 for a model."""

    written: list[Path]
    fields: int = 0


def export(
    source: str | Path,
    to: str,
    out: str | Path,
    *,
    images: str | Path | None = None,
    cells: str | Path | None = None,
    author: str | None = None,
    test_image: str | Path | None = None,
) -> Exported:
    """Write `source` in the format `to`.

    Parameters
    ----------
    source : labels or outlines, a file or a folder of them; for "bioimageio" and "onnx" a model's name or file.
    to : a key of :data:`cellular.data.formats.write.EXPORTS`, "bioimageio" or "onnx".
    out : folder; for a model the file.
    images : folder of the labels' images; None looks beside the labels.
    cells : table of field, label, class and measurements; None takes the one that `prepare` wrote.
    author, test_image : of a BioImage.IO package.

    Raises
    ------
    SettingsError : an unknown format.
    InputError, MissingInputError, OutputExistsError : as the formats say.

    Examples
    --------
    >>> import cellular, numpy as np
    >>> from cellular.data.formats.images import write_labels
    >>> _ = write_labels("exported/a_masks.tif", np.array([[0, 1], [2, 2]], np.uint16))
    >>> [path.name for path in cellular.export("exported", "hdf5", "h5").written]
    ['a.h5']
    """
    if to in MODELS:
        with alone_in(Path(out).parent, deep=False):
            if to == "onnx":
                return Exported([export_onnx(source, out)])
            return Exported([export_bioimageio(source, out, author=author, test_image=test_image)])
    if to not in EXPORTS:
        raise SettingsError(f"Unknown format '{to}'; known: {', '.join((*EXPORTS, *MODELS))}")
    fields = find_labelled(source, images, cells)
    with alone_in(out):
        return Exported(EXPORTS[to](fields, Path(out)), len(fields))
