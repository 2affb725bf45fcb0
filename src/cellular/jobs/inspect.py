"""`cellular inspect`: what is understood of a plate, as tables and a picture, from file headers alone."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cellular.data.find import as_plate
from cellular.data.formats.image_file import describe_image
from cellular.data.listing import PLATE
from cellular.data.plate import FieldFiles, Plate, plates_apart
from cellular.errors import InputError
from cellular.files import write_csv, write_json
from cellular.jobs.runner import attempt
from cellular.report.plate import plate_figure
from cellular.report.style import save

# What fields of one plate should have in common.
ALIKE = ("channels", "size", "dtype", "pixel_size_um")


@dataclass(frozen=True)
class Inspection:
    """`fields`: a row each, with what files, names and map say of it. `problems`: by field, what is odd."""

    fields: pd.DataFrame
    problems: dict[str, str]


def inspect(plate: Plate | str | Path, out: str | Path | None = None) -> Inspection:
    """Look at every field's headers; nothing is decoded. With `out`, ``fields.csv``, ``plate.json`` and ``plate.svg``.

    Odd are files that cannot be opened, and fields that differ from most others in channels, size, dtype or pixel size.

    Raises
    ------
    MissingInputError, InputError
        No such folder, or no images in it. What is wrong with single files is in the result.

    Examples
    --------
    >>> import cellular
    >>> from cellular.simulate import SimulationSettings
    >>> made = cellular.simulate("sim", SimulationSettings(fields=1, size_px=160, diameter_px=30))
    >>> cellular.inspect(made.images).fields[["well", "size", "dtype", "treatment"]].values.tolist()
    [['C05', '160 x 160', 'uint16', 'fed']]
    """
    plate = as_plate(plate)
    rows, problems = attempt(plate.fields, _row, desc="inspect")
    described = pd.DataFrame(list(rows.values()), columns=["field", *ALIKE, "labels"])
    fields = plate.table().merge(described, on="field", how="left")
    problems |= {name: text for name, text in _odd(described).items() if name not in problems}
    if out is not None:
        out = Path(out)
        write_csv(out / "fields.csv", fields)
        write_json(out / PLATE, plate.as_dict() | {"odd": problems})
        if any(item.well for item in plate.fields):
            shown = fields[["field", "plate", "well", *plate.map_columns]].assign(plate=plates_apart(fields))
            save(plate_figure(shown, plate.map_columns), out / "plate.svg", shown)
    return Inspection(fields, problems)


def _row(item: FieldFiles) -> dict[str, object]:
    """What the headers of a field's files say."""
    source = item.sources[0]
    scenes = describe_image(source.slices[0][0])
    if source.scene >= len(scenes):
        raise InputError(f"{source.slices[0][0]}: it has {len(scenes)} images, not {source.scene + 1}")
    info = scenes[source.scene]
    for path in item.images[1:]:
        other = describe_image(path)[0]
        if (other.sizes["Y"], other.sizes["X"]) != (info.sizes["Y"], info.sizes["X"]):
            raise InputError(f"{path}: {other.sizes['X']} x {other.sizes['Y']} px, the field's first channel differs")
    return {
        "field": item.name,
        "channels": " ".join(role or source.token or "?" for role, source in zip(item.roles, item.sources * 3)),
        "size": f"{info.sizes['X']} x {info.sizes['Y']}",
        "dtype": str(info.dtype),
        "pixel_size_um": item.pixel_size_um or info.pixel_size_um,
        "labels": item.labels.name if item.labels else None,
    }


def _odd(fields: pd.DataFrame) -> dict[str, str]:
    """Fields that differ from most others, and how."""
    problems: dict[str, str] = {}
    for column in ALIKE:
        words = fields[column].map(str)
        usual, count = Counter(words).most_common(1)[0] if len(fields) else ("", 0)
        for row in fields[words != usual].itertuples():
            text = f"{column} {getattr(row, column)}, but {usual} in {count} others"
            problems[row.field] = f"{problems[row.field]}; {text}" if row.field in problems else text
    return problems
