"""Corrections that are made on the live page while a command measures by those that were there when it began."""

from dataclasses import replace

from cellular.data.plate import Plate
from cellular.errors import InputError
from cellular.jobs.corrections import Corrections, open_corrections


def as_measured_by(edits: Corrections | None, plate: Plate) -> Corrections | None:
    """The corrections that hold for what was measured since `edits` were opened: these, and states told since.

    Of a field whose first correction came since, none of what came since: it was measured by the outlines before.
    Raises InputError where outlines of a field of `plate` that `edits` correct were corrected on since: nothing but the
    log says by which of them it was measured.
    """
    if edits is None:
        return None
    new = open_corrections(edits.folder).log[len(edits.log) :]  # a log is only ever added to
    last = {entry["field"]: entry["after"] for entry in edits.log}
    moved = {entry["field"] for entry in new if entry["after"] != last.get(entry["field"], entry["original"])}
    for name in edits.fields:
        if name in moved and any(item.name == name for item in plate.fields):
            raise InputError(
                f"{name} was corrected while the run measured it, or after; run the same command again, which "
                "measures it alone"
            )
    return replace(edits, log=(*edits.log, *(entry for entry in new if entry["field"] not in moved)))
