"""Every verb on data as small as will do: what to run, what is there beforehand, and what a run leaves."""

import csv
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cellular.autophagy.state.tree_model import FEATURES
from cellular.data.formats.images import read_labels
from cellular.files import LOCK, write_csv
from cellular.jobs.corrections import FieldCorrections
from cellular.jobs.prepare import PrepareSettings, prepare
from cellular.jobs.runner import RECORD
from cellular.jobs.simulate import simulate
from cellular.segment.model.network import build_network
from cellular.segment.model.registry import ModelInfo, save_model
from cellular.simulate.settings import SimulationSettings

# ome-zarr needs Python 3.11.
NOT_HERE = frozenset() if sys.version_info >= (3, 11) else frozenset({"export ome-zarr"})
# What tells of time and not of the data.
VOLATILE = {"crops_per_s", "seconds"}
TRAIN = ("--n_epochs", 2, "--checkpoint_every", 1, "--validate_every", 1, "--crop_size", 32, "--width", 2)


def make_inputs(folder: Path) -> None:
    """Simulated fields, of one timepoint and of three; prepared ones; a network of width 2; a table of cells."""
    tiny = {"size_px": 96, "diameter_px": 24, "cells_per_field": 6}
    once = simulate(folder / "once", SimulationSettings(fields=3, **tiny))
    simulate(folder / "thrice", SimulationSettings(fields=1, timepoints=3, **tiny))
    prepare(once.folder, folder / "prepared", PrepareSettings(images=str(once.composites), overlap="smallest"))
    save_model(folder / "model.safetensors", build_network(width=2), ModelInfo())
    for path in sorted(once.truth.glob("*_labels.tif")):
        FieldCorrections(folder / "corrections", path.name.removesuffix("_labels.tif"), read_labels(path)).do("check")
    cells = cells_table(("log2_ratio", "texture", "roundness"))
    write_csv(folder / "cells.csv", cells)
    write_csv(folder / "measured.csv", cells_table(FEATURES))
    write_csv(folder / "truth.csv", cells[["field", "label"]].assign(**{"class": cells["treatment"]}))


def cells_table(features: Sequence[str]) -> pd.DataFrame:
    """Two treatments in two wells of three dates each, ten cells a well; the starved ones are brighter."""
    rng = np.random.default_rng(0)
    rows = []
    for date in ("220518", "220519", "220520"):
        for well, treatment in (("C03", "fed"), ("C04", "fed"), ("I03", "starved"), ("I04", "starved")):
            field = f"{date}_{well}_s1"
            about = {"field": field, "date": date, "well": well, "treatment": treatment, "timepoint": 1}
            for label in range(1, 11):
                values = rng.normal(2 * (treatment == "starved"), 1, len(features))
                rows.append({**about, "label": label} | dict(zip(features, values)))
    return pd.DataFrame(rows)


def commands(made: str | Path, out: str | Path) -> dict[str, list]:
    """Arguments of each verb on :func:`make_inputs`' folder, writing to `out`."""
    made, out = Path(made), Path(out)
    prepared, once = made / "prepared" / "all", made / "once"
    model = made / "model.safetensors"
    labels, known = prepared / "test", ("--truth", made / "truth.csv")
    experiment = ("--experiment_name", "e", "--experiments_dir", out, "--model_type", "scratch", "--device", "cpu")
    folders = ("--train_dir", prepared / "train", "--valid_dir", prepared / "valid", "--min_train_masks", 1)
    simulated = ("--fields", 1, "--size", 64, "--diameter", 24, "--cells_per_field", 3)
    measuring = ("--min_sigma", 1, "--max_sigma", 3)
    measured = ["measure", once / "images", once / "truth", "--out", out, *measuring]
    images, truth = made / "thrice" / "images", made / "thrice" / "truth"
    return {
        "simulate": ["simulate", out, *simulated],
        "prepare": ["prepare", "-i", once, "-o", out],
        "train": ["train", *folders, *experiment, *TRAIN],
        "calibrate": _calibrate(made, out / "settled"),
        "segment": [
            "segment",
            once / "images-color",
            "--model",
            model,
            "--out",
            out,
            "--diameter",
            24,
            "--device",
            "cpu",
        ],
        "evaluate": ["evaluate", "--test_dir", labels, "--output_dir", out, "--model_path", model, "--device", "cpu"],
        "reproduce": ["reproduce", once, out, "--models", "scratch", *REPRODUCE],
        "export": ["export", labels, "--to", "cellpose", "-o", out],
        "export ome-zarr": ["export", labels, "--to", "ome-zarr", "-o", out],
        "export coco": ["export", labels, "--to", "coco", "-o", out],
        "export hdf5": ["export", labels, "--to", "hdf5", "-o", out],
        "quality": ["quality", once / "images", "--out", out],
        "measure": measured,
        "measure anndata": [*measured, "--overlays", 0, "--anndata"],
        "analyse": ["analyse", images, "--labels", truth, "--out", out, *measuring],
        "track": ["track", truth, "--out", out, "--export", "ctc", "geff"],
        "stats": ["stats", made / "cells.csv", "--out", out],
        "classify": ["classify", "train", made / "measured.csv", *known, "--out", out, "--trees", 3],
        "teach": [
            "teach",
            once / "images",
            "--model",
            model,
            "--corrections",
            made / "corrections",
            "--out",
            out,
            *TEACH,
        ],
        "demo": ["demo", "--out", out, "--quick", "--device", "cpu"],
    }


TEACH = ("--n_epochs", 2, "--crop_size", 32, "--fields_per_epoch", 2, "--diameter", 24, "--device", "cpu")
REPRODUCE = ("--epochs", 1, "--width", 2, "--crop_size", 32, "--device", "cpu")


def _calibrate(made: Path, model: Path) -> list:
    folder = ("--valid_dir", made / "prepared" / "all" / "valid", "--diameter", 24, "--device", "cpu")
    return ["calibrate", "--model_path", made / "model.safetensors", "--output_model", model, *folder]


def contents(folder: Path) -> dict[str, bytes | str]:
    """Every file below `folder` and what is in it, but for what tells of time."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != LOCK]
    return {str(path.relative_to(folder)): _content(path) for path in files}


def _content(path: Path) -> bytes | str:
    data = path.read_bytes()
    if path.suffix == ".csv":
        rows = list(csv.DictReader(io.StringIO(data.decode())))
        return json.dumps([{k: v for k, v in row.items() if k not in VOLATILE} for row in rows])
    if path.suffix == ".json":
        values = json.loads(data)
        if path.name == RECORD:  # a run's own files are inputs too, with the times at which it wrote them
            values["inputs"] = [[name, size] for name, size, time in values["inputs"]]
        kept = {key: values[key] for key in values if key not in VOLATILE} if isinstance(values, dict) else values
        return json.dumps(kept)
    if path.name == "checkpoint.pt":
        return "a checkpoint"  # it holds the log, times included
    return data
