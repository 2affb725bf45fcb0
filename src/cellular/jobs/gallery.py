"""The gallery of `cellular analyse`: cells cut from their fields into a strip for each condition."""

import re
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from cellular.data.formats.images import read_labels, write_image
from cellular.data.image import load_labels, read_field
from cellular.data.plate import FieldFiles, Plate
from cellular.files import number_order
from cellular.jobs.conditions import MOST_CONDITIONS, conditions
from cellular.jobs.nuclei import nuclei_path
from cellular.jobs.processes import here
from cellular.report.gallery import CellPicture, Gallery, brightness, captions, choose_cells, cut_cell, strip
from cellular.report.outlines import colour_image
from cellular.tables import puncta_of

# What cells are chosen by: the first of these that the plate has.
FEATURES = ("puncta_total", "mitolysosomes", "acid_share", "area")
# A cell's square is this many times the long axis that nine in ten cells stay under.
_ROOM = 1.25


def gallery(
    plate: Plate,
    tables: Mapping[str, pd.DataFrame],
    out: Path,
    treatment: str,
    inhibitor: str = "inhibitor",
    replicate: str | None = None,
    left_out: Collection[str] = (),
) -> Gallery:
    """Write ``gallery/<condition>.png`` to `out`, of no more conditions than :data:`MOST_CONDITIONS`.

    Parameters
    ----------
    plate : the fields that were measured, with their label images. tables : theirs, "cells" and "puncta" among them.
    treatment, inhibitor : columns that say how a cell was treated; without the first all cells are one condition.
    replicate : column of the replicates, if it is not called so. left_out : fields whose cells are none of a
        condition's, as in the comparison.
    """
    cells, feature = tables["cells"], next(name for name in FEATURES if name in tables["cells"])
    cells = cells[~cells["field"].isin(left_out)]
    found = dict(list(cells.groupby(conditions(plate, cells, treatment, inhibitor, replicate))))
    groups = [(name, found[name]) for name in sorted(found, key=number_order)]
    every = {name: choose_cells(group, feature) for name, group in groups}
    every = {name: rows for name, rows in every.items() if len(rows)}
    chosen = dict(list(every.items())[:MOST_CONDITIONS])
    if not chosen:
        return Gallery()
    pictures = _cut(plate, pd.concat(chosen.values()), tables, out)
    levels = brightness(list(pictures.values()))
    counts = {name: int((~group["touches_border"].astype(bool)).sum()) for name, group in groups if name in chosen}
    told = captions(counts, feature.replace("_", " "))
    made: dict[str, Path] = {}
    for number, (name, rows) in enumerate(chosen.items(), 1):
        words = [f"{row.sort} {getattr(row, feature):.4g}" for row in rows.itertuples()]
        path = out / "gallery" / f"{number:02d}_{re.sub(r'[^A-Za-z0-9.-]+', '_', name)[:40]}.png"
        write_image(path, strip([pictures[row.field, row.label] for row in rows.itertuples()], words, levels))
        made[told[name]] = path
    for old in set((out / "gallery").glob("[0-9][0-9]_*.png")) - set(made.values()):
        old.unlink()  # of a condition that the map no longer has
    return Gallery(made, len(every))


def _cut(
    plate: Plate, rows: pd.DataFrame, tables: Mapping[str, pd.DataFrame], out: Path
) -> dict[tuple[str, int], CellPicture]:
    """The cells of `rows`, each field read once."""
    side = int(np.ceil(_ROOM * np.quantile(tables["cells"]["major_axis"], 0.9)))
    puncta = puncta_of(tables, list(rows["field"].unique()))
    puncta = pd.DataFrame({"field": [], "label": []}) if puncta is None else puncta
    items = {item.name: item for item in plate.fields}

    def cut(part: tuple[str, pd.DataFrame]) -> dict[tuple[str, int], CellPicture]:
        field, mine = part
        image, labels, nuclei = _read(items[field], out)
        spots, size = puncta[puncta["field"] == field], min(side, *labels.shape)
        return {(field, label): cut_cell(image, labels, label, size, spots, nuclei) for label in mine["label"]}

    with ThreadPoolExecutor(here().count) as pool:
        return {cell: picture for found in pool.map(cut, rows.groupby("field")) for cell, picture in found.items()}


def _read(item: FieldFiles, out: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """A field's colours (Y, X, 3), the label image of its cells, and that of its nuclei where there is one."""
    picture = read_field(item)
    colours = np.atleast_3d(colour_image(picture))[..., :3]
    colours = np.repeat(colours, 3, axis=2) if colours.shape[2] == 1 else colours
    labels = load_labels(item, picture.shape)
    path = nuclei_path(out / "labels", item.name)
    return colours, labels, read_labels(path) if path.is_file() else None
