"""One table of models side by side, from what `evaluate` wrote."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from cellular.evaluate.result import EvaluationResult
from cellular.files import write_csv, write_json, write_text

# Shown columns and the scores (docs/metrics.md) behind them.
COLUMNS = {
    "pixel F1": "pixel.average.f1",
    "pixel Jaccard": "pixel.average.jaccard",
    "cell F1 @0.5": "instance.0.50.f1",
    "AP @0.5": "instance.0.50.ap",
    "AP @0.75": "instance.0.75.ap",
    "PQ": "panoptic.pq",
    "AJI": "aji",
    "box AP50": "box.ap50",
    "count error": "count.mean_absolute_error",
}


def comparison(results: Mapping[Sequence[str], EvaluationResult], keys: Sequence[str]) -> pd.DataFrame:
    """A row per evaluation: its `keys` (for instance model and split), then COLUMNS, then their intervals."""
    rows = []
    for labels, result in results.items():
        row: dict[str, object] = {**dict(zip(keys, labels)), "fields": len(result.fields)}
        row |= {shown: result.values[name] for shown, name in COLUMNS.items()}
        for shown, name in COLUMNS.items():
            low, high = result.intervals.get(name, (None, None))
            row |= {f"{shown} low": low, f"{shown} high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def as_markdown(table: pd.DataFrame, keys: Sequence[str]) -> str:
    """The table for people: three decimals, intervals in brackets where there are any."""
    shown = [c for c in COLUMNS if c in table.columns]
    lines = ["| " + " | ".join([*keys, "fields", *shown]) + " |", "|" + "---|" * (len(keys) + 1 + len(shown))]
    for _, row in table.iterrows():
        cells = [str(row[key]) for key in (*keys, "fields")]
        for column in shown:
            low, high = row[f"{column} low"], row[f"{column} high"]
            interval = "" if pd.isna(low) else f" [{low:.3f}, {high:.3f}]"
            cells.append(f"{row[column]:.3f}{interval}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def write_comparison(table: pd.DataFrame, keys: Sequence[str], stem: Path, notes: str = "") -> None:
    """Write the table as ``<stem>.csv``, ``.md`` and ``.json``."""
    write_csv(stem.with_suffix(".csv"), table)
    write_json(stem.with_suffix(".json"), table.astype(object).where(table.notna(), None).to_dict("records"))
    write_text(stem.with_suffix(".md"), as_markdown(table, keys) + (f"\n{notes}\n" if notes else ""))
