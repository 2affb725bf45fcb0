"""Where a page's numbers come from: the section that lets another lab do it again."""

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import pandas as pd

from cellular import __version__
from cellular.data.plate import FieldFiles, Source
from cellular.report.html import Page

# Libraries whose version can move a number.
LIBRARIES = ("torch", "numpy", "scipy", "scikit-image", "numba", "pandas", "laptrack", "bokeh")
CITATION = (
    "Cite the CELLULAR dataset where its model or data were used: Al Outa et al., CELLULAR, A Cell Autophagy Imaging "
    "Dataset, Scientific Data 10, 806 (2023), doi:10.1038/s41597-023-02687-x."
)
TERMS = (
    "cellular is BSD-3-Clause. The dataset, and models trained on it, are CC BY 4.0; its authors also ask for written "
    "permission before commercial use and competitions. Models fine-tuned from Cellpose's come under its terms too."
)


def versions() -> dict[str, str]:
    """Version of cellular, of Python and of the libraries that numbers depend on."""
    return {"cellular": __version__, "Python": platform.python_version()} | {name: version(name) for name in LIBRARIES}


def add_provenance(
    page: Page,
    record: Mapping[str, Any],
    *,
    fields: Sequence[FieldFiles] = (),
    commands: Sequence[str] = (),
    made_with: Mapping[str, str] | None = None,
    excluded: str = "",
) -> Page:
    """The section "Provenance".

    Parameters
    ----------
    record : settings as used, with ``model`` and ``sha256`` where there was a model.
    fields : whose channels are told. commands : that make it again.
    made_with : versions, None for those that are running. excluded : what was left out, a sentence.
    """
    page.section("Provenance")
    if fields:
        page.table(_channels(fields), caption="Channels, and what they were taken as:")
    if record.get("sha256"):
        page.text(f"Model: {record['model']}, SHA-256 of its file {record['sha256']}.")
    elif record.get("labels"):
        page.text(f"No model: label images of {record['labels']}.")
    page.text(excluded or "Nothing was left out.")
    for command in commands:
        page.code(command)
    told = made_with or versions()
    page.table(pd.DataFrame({"made with": list(told), "version": list(told.values())}), folded=True, caption="Versions")
    page.table(flat(record), caption="Settings as used, defaults included", rows=400, folded=True)
    return page.text(CITATION).text(TERMS)


def _channels(fields: Sequence[FieldFiles]) -> pd.DataFrame:
    """A row a channel: what files call it, its name there, and its role; the colours of a picture are one."""
    told = {
        (source.token or "colours of a picture", source.name, _role(source, item)): None
        for item in fields
        for source in item.sources
    }
    return pd.DataFrame(list(told), columns=["channel", "called", "taken as"])


def _role(source: Source, item: FieldFiles) -> str:
    if item.kind == "composite":
        return f"{', '.join(role for role in item.roles if role)}, mixed in three colours"
    return source.role or "not known"


def flat(settings: Mapping[str, Any], before: str = "") -> pd.DataFrame:
    """Nested settings as rows ``setting, value``."""
    rows = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            rows += flat(value, f"{before}{name}.").to_dict("records")
        else:
            rows.append({"setting": f"{before}{name}", "value": str(value)})
    return pd.DataFrame(rows, columns=["setting", "value"])
