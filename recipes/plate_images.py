"""Images of plates whose truth is known, measured, judged and compared: how often all is right, from seed to seed.

    python recipes/plate_images.py MAKE_PLATE WORK [--seeds 20] [--size 224] [--looks 3] [--nuclei 3]

MAKE_PLATE is the program that makes the plates (three plates of eight conditions, two sites a well, one field out of
focus and one saturated), WORK a folder for them; each is deleted once it is done. Outlines are those of the truth, so
that what is tried is puncta, flags, flux and doses, and in the first `--nuclei` seeds nuclei; a seed is a minute's work
then. Run again, it goes on after the last seed that is done. An interval should hold what was planted in all seeds
together, pooled well by well. Prints a line a seed, then counts.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from flux_power import share
from plate_seeds import EC50, YELLOW, analysed

import cellular
from cellular.autophagy.measure.field import MeasureSettings
from cellular.autophagy.measure.puncta_settings import PunctaSettings
from cellular.jobs.quality import quality

CHANNELS = ("DNA=w1", "EGFP=w2", "mRFP=w3")


def made(tool: Path, folder: Path, size: int, seed: int) -> pd.DataFrame:
    """Make a plate as an ImageXpress writes it, with ``labels/`` and ``map.csv``; the cells of its truth."""
    options = ["--size", str(size), "--seed", str(seed), "--layouts", "imagexpress"]
    subprocess.run([sys.executable, str(tool), str(folder), *options], check=True, stdout=subprocess.DEVNULL)
    (folder / "labels").mkdir()
    for path in (folder / "truth").glob("*_labels.tif"):
        os.link(path, folder / "labels" / path.name.replace("_labels", "_masks"))
    plate_map = pd.read_csv(folder / "platemap.csv", dtype={"replicate": str}, keep_default_na=False)
    plate_map = plate_map.rename(columns={"dose_nM": "dose", "replicate": "batch"}).assign(dose_unit="nM")
    plate_map.to_csv(folder / "map.csv", index=False)
    return pd.read_csv(folder / "truth" / "cells.csv")


def worked(
    folder: Path, looks: Iterable[int], nuclei: str
) -> Iterable[tuple[int, pd.DataFrame, pd.DataFrame, list[str]]]:
    """For each number of looks: looks, cells, images, and the fields that are flagged."""
    plate = cellular.find_plate(
        folder / "imagexpress", channels=CHANNELS, plate_map=cellular.read_plate_map(folder / "map.csv")
    )
    judged, _ = quality(plate, folder / "quality", labels=folder / "labels", flat_field="off")
    flagged = list(judged.table.loc[judged.table["flagged"], "field"])
    for number, count in enumerate(looks):
        settings = MeasureSettings(pixel_size_um=0.325, puncta=PunctaSettings(looks=count))
        out = folder / f"measured{count}"
        sought = "off" if number else nuclei
        tables = cellular.measure(plate, folder / "labels", out, settings, overlays=0, nuclei=sought)
        yield count, tables.cells, tables.images, flagged


def answers(seed: int, looks: int, cells: pd.DataFrame, flagged: list[str]) -> Iterable[dict]:
    """A row a question: estimate and interval, with flagged fields in and out."""
    for way, left_out in (("in", []), ("out", flagged)):
        rows, curve = analysed(cells, left_out, doses=True)
        at = {"seed": seed, "looks": looks, "flagged": way}
        for asked, row in rows.iterrows():
            if asked[1] in ("DMSO", "EBSS"):
                ends = {name: row[name] for name in ("estimate", "ci_low", "ci_high", "p_value")}
                yield at | {"asked": ", ".join(asked)} | ends
        ends = {"estimate": curve["ec50"], "ci_low": curve["ec50_low"], "ci_high": curve["ec50_high"]}
        yield at | {"asked": "EC50", "p_value": curve["p_trend"]} | ends


def tell(
    seed: int, looks: int, cells: pd.DataFrame, images: pd.DataFrame, flagged: list[str], truth: pd.DataFrame
) -> None:
    """Print a line on flags, nuclei and puncta of a seed."""
    ratio = cells.groupby("well")[YELLOW].mean() / truth.groupby("well")["yellow"].mean()
    line = f"seed {seed}, looks {looks}: flagged {flagged}; yellow over planted {ratio.min():.3f} to {ratio.max():.3f}"
    if "nuclei_found" in images:
        single, true = int((cells["nuclei"] == 1).sum()), int((truth["nucleus_px"] > 0).sum())
        line += f"; {images['nuclei_found'].sum():.0f} nuclei of {true}, {single} cells of {len(cells)} with one"
    print(line, flush=True)


def planted(cells: pd.DataFrame) -> dict[str, float]:
    """What the intervals should hold: flux from the planted puncta of all seeds, and the EC50 of the recipe."""
    mean = cells.groupby("well")["yellow"].mean()
    flux = {"DMSO": mean["B01"] - mean["A01"], "EBSS": mean["B02"] - mean["A02"]}
    known = {f"flux, {name}": value for name, value in flux.items()}
    return known | {"difference of fluxes, EBSS": flux["EBSS"] - flux["DMSO"], "EC50": EC50}


def say(found: pd.DataFrame, truth: dict[str, float]) -> None:
    """Print coverage, power and error of every question."""
    for (looks, way, asked), rows in found.groupby(["looks", "flagged", "asked"]):
        drawn, true = rows.dropna(subset=["estimate"]), truth[asked]
        covers = int(((drawn["ci_low"] <= true) & (true <= drawn["ci_high"])).sum())
        off = np.exp(np.abs(np.log(drawn["estimate"] / true))).median()
        print(
            f"looks {looks}, flagged {way:3}, {asked}: true {true:.2f}, mean {drawn['estimate'].mean():.2f}, "
            f"off by x {off:.2f} at the median; covers {covers} of {len(drawn)}: {share(covers, len(drawn))}; "
            f"p < 0.05 in {int((rows['p_value'] < 0.05).sum())} of {len(rows)}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("make_plate", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--looks", type=int, nargs="+", default=[3])
    parser.add_argument("--nuclei", type=int, default=3, help="seeds whose nuclei are sought too, the first ones")
    args = parser.parse_args()
    tables = [args.work / "answers.csv", args.work / "planted.csv"]
    found, truths = (pd.read_csv(path) if path.is_file() else pd.DataFrame({"seed": []}) for path in tables)
    for seed in sorted(set(range(args.seeds)) - set(truths["seed"])):
        folder = args.work / f"seed{seed}"
        truth = made(args.make_plate, folder, args.size, seed).assign(seed=seed)
        truths = pd.concat([truths, truth])
        for looks, cells, images, flagged in worked(folder, args.looks, "auto" if seed < args.nuclei else "off"):
            found = pd.concat([found, pd.DataFrame(answers(seed, looks, cells, flagged))])
            tell(seed, looks, cells, images, flagged, truth)
        shutil.rmtree(folder)
        for path, table in zip(tables, (found, truths)):
            table.to_csv(path, index=False)
    say(found, planted(truths))


if __name__ == "__main__":
    main()
