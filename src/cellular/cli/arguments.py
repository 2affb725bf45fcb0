"""Arguments that several verbs share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cellular.autophagy.measure.field import MeasureSettings
    from cellular.data.plate import Plate
    from cellular.segment.settings import SegmentSettings

NUMBERS_TOO = "; and, or only, numbers: those that the network sees, in inspect's order, 0 = grey"
CHANNELS_HELP = (
    "what the channels are, where names and files do not say: mRFP=w3 EGFP=w2 DNA=w1 transmitted=BF marker:LAMP1=w4, "
    "by what names call a channel, its name in the file, or its number there"
)
REPLICATE = "column that tells biological replicates apart; left out, 'replicate' where there is one, else dates"
PUNCTA = (
    *("min_sigma", "max_sigma", "unit", "snr", "visible", "contrast", "kind_ratio"),
    *("second_look", "looks", "detector", "spotiflow_model", "spotiflow_probability"),
)


def boolean(text: str) -> bool:
    """Parse true/false, yes/no, on/off or 1/0, so that a boolean can be false (in the published scripts it cannot)."""
    value = text.strip().lower()
    if value in ("true", "yes", "on", "1"):
        return True
    if value in ("false", "no", "off", "0"):
        return False
    raise argparse.ArgumentTypeError(f"expected true or false, got {text!r}")


def diameter(text: str) -> float | str:
    """Parse a cell diameter: a number of px, or "auto"."""
    if text.strip().lower() == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number of px or auto, got {text!r}") from None


def add_plate(parser: argparse.ArgumentParser, *, wells: bool = True, more: str = "") -> None:
    """How to read a plate: `wells` with a plate map, `more` what else `--channels` takes."""
    group = parser.add_argument_group("plate")
    add = group.add_argument
    add("--channels", nargs="+", default=[], metavar="ROLE=CHANNEL", help=CHANNELS_HELP + more)
    add("--scheme", help="how files are named: cellular, imagexpress, phenix, incell, ...; found by itself")
    add("--pattern", help="regular expression for other names, with groups plate, well, site, timepoint, z, channel")
    add_z(group)
    add("--pixel_size", "--pixel-size", type=float, metavar="UM", help="size of a pixel in um; else what files say")
    if wells:
        add(
            "--plate_map",
            "--plate-map",
            metavar="FILE",
            help="what wells, or fields, were given: CSV, TSV or XLSX (docs/plates.md)",
        )


def add_z(parser: argparse._ActionsContainer) -> None:
    """What of a z-stack is the image."""
    parser.add_argument("--z", metavar="max|sum|N", help="what to take of a z-stack")


def annotated_fields(folder: str, z: str | None, corrections: str | None = None) -> str | Plate:
    """`folder` as given; with `z` its fields, each with labels unless there are corrections, stacks projected."""
    from cellular.data.find import find_annotated, find_plate

    if z is None:
        return folder
    return find_plate(folder, z=z) if corrections else find_annotated(folder, z=z)


def split_channels(words: Sequence[str]) -> tuple[list[str], tuple[int, ...] | None]:
    """`--channels` as roles ("mRFP=w3") and as numbers for the network, one after another or either alone."""
    from cellular.errors import SettingsError

    roles = [word for word in words if "=" in word]
    numbers = [word for word in words if "=" not in word]
    if any(not word.isdecimal() for word in numbers):
        raise SettingsError(f"--channels {' '.join(words)}: write ROLE=CHANNEL, such as mRFP=w3, or numbers")
    return roles, tuple(map(int, numbers)) or None


def find(args: argparse.Namespace, source: str | Sequence[str], labels: str | None = None, tell: bool = True) -> Plate:
    """The plate that the arguments of :func:`add_plate` describe; with `tell`, what was understood is logged."""
    import logging

    from cellular.autophagy.measure.columns import MEASURED
    from cellular.data.find import find_plate
    from cellular.data.platemap import read_plate_map

    given = getattr(args, "plate_map", None)
    plate = find_plate(
        source,
        scheme=args.scheme,
        pattern=args.pattern,
        channels=split_channels(args.channels)[0],
        plate_map=read_plate_map(given, MEASURED) if given else None,
        pixel_size_um=args.pixel_size,
        z=args.z,
        labels=labels,
    )
    for line in plate.summary() if tell else ():
        logging.getLogger("cellular").info("%s", line)
    return plate


def add_segmentation(
    parser: argparse.ArgumentParser, thresholds: bool = True, channels: bool = True, seeds: bool = False
) -> None:
    """How to segment, for every verb that does; without `thresholds` for one that seeks them, `seeds` for plates."""
    add = parser.add_argument_group("segmentation").add_argument
    add(
        "--diameter",
        type=diameter,
        help="cell diameter in px, or auto to estimate it from each image; left out, the model's, else auto",
    )
    if channels:
        add(
            "--channels",
            nargs="+",
            default=[],
            metavar="C",
            help="image channels, 0 = grey; or ROLE=CHANNEL; the model's",
        )
    if thresholds:
        add("--flow_threshold", "--flow-threshold", type=float, help="0 keeps every cell; left out, the model's")
        add("--cellprob_threshold", "--cellprob-threshold", type=float, help="lower finds more; left out, the model's")
    add("--min_size", "--min-size", type=int, default=15, help="smallest cell, px")
    add("--niter", type=int, help="steps to follow the flows; left out, in proportion to the diameter")
    add("--augment", type=boolean, help="average over flips, four times slower; left out, the model's choice")
    add("--resample", type=boolean, help="follow flows at the image's scale, slower; left out, the model's choice")
    add("--tiling", choices=("whole", "cellpose"), default="whole", help="cellpose equals Cellpose 3")
    add("--window", type=int, default=4096, help="larger images are segmented in windows of this side, px")
    if seeds:
        add("--seeds", choices=("nuclei",), help="part cells that hold several nuclei; left out, no cell is parted")
    add("--invert", type=boolean, default=False, help="dark cells on bright ground")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    precisions = ("auto", "float32", "bfloat16")
    add("--precision", choices=precisions, default="auto", help="of the network; auto: bfloat16 on a CPU that has it")


def segmentation_settings(args: argparse.Namespace) -> SegmentSettings:
    """Settings from the arguments of :func:`add_segmentation`."""
    from dataclasses import fields

    from cellular.segment.settings import SegmentSettings

    values = {field.name: getattr(args, field.name) for field in fields(SegmentSettings) if hasattr(args, field.name)}
    return SegmentSettings(**values | {"channels": split_channels(args.channels)[1]})


def add_reporter(parser: argparse.ArgumentParser) -> None:
    """What the channels stand for, for every verb that measures; the defaults are those of MeasureSettings."""
    add = parser.add_argument_group("assay").add_argument
    add(
        "--reporter",
        choices=("auto", "tandem", "mito-qc", "mt-keima", "none"),
        default="auto",
        help="auto: tandem mRFP-EGFP where both are there; mt-keima needs channels marker:Keima-acid and "
        "marker:Keima-neutral; none tells nothing by a ratio",
    )
    add("--keima_ratio", "--keima-ratio", type=float, help="mt-keima: least ratio of acid mitochondria, from a control")
    add("--many_puncta", "--many-puncta", type=int, metavar="N", help="tell the share of cells with N puncta or more")
    add(
        "--nuclei",
        default="auto",
        metavar="auto|off|FOLDER",
        help="auto: found where DNA is imaged; or a folder of label images, <field>_nuclei.tif",
    )


def add_puncta(parser: argparse.ArgumentParser) -> None:
    """How puncta are found, for every verb that measures; the defaults are those of PunctaSettings."""
    add = parser.add_argument_group("puncta").add_argument
    add("--unit", choices=("px", "um"), default="px", help="unit of --min_sigma and --max_sigma")
    sized = "std. deviation; left out, by the pixel size where it is known, else by the cells' diameter"
    add("--min_sigma", "--min-sigma", type=float, help=f"smallest punctum, {sized}")
    add("--max_sigma", "--max-sigma", type=float, help=f"largest punctum, {sized}")
    add("--snr", type=float, default=2.3, help="least response over that of the surroundings")
    add("--visible", type=float, default=13.0, help="least contrast in standard deviations of a pixel")
    add("--contrast", type=float, default=0.15, help="least contrast over local brightness")
    add("--kind_ratio", "--kind-ratio", type=float, default=0.35, help="weaker over stronger channel, least for yellow")
    add(
        "--second_look",
        "--second-look",
        type=float,
        default=1.35,
        help="factor on --snr and --visible once brighter puncta are taken away; 0: look once",
    )
    add("--looks", type=int, default=1, help="such looks, at most; 3 where puncta crowd, alike in all wells")
    add("--detector", choices=("log", "spotiflow"), default="log", help="what finds the puncta")
    add("--spotiflow_model", "--spotiflow-model", default="general", help="name or folder of a Spotiflow model")
    add("--spotiflow_probability", "--spotiflow-probability", type=float, help="least; the model's own by default")


def add_exclude(parser: argparse.ArgumentParser) -> None:
    """Which fields to leave out of comparisons."""
    parser.add_argument(
        "--exclude",
        nargs="+",
        default=[],
        metavar="flagged|LIST",
        help="fields to leave out of comparisons: flagged (by quality.csv), names, or a file that lists them; "
        "exclusions.csv says which and why",
    )


def add_csv(parser: argparse.ArgumentParser) -> None:
    """Declare the form of long tables."""
    parser.add_argument(
        "--csv", action="store_true", help="tables of over 1,048,575 rows as CSV too, and not as Parquet alone"
    )


def add_corrections(parser: argparse.ArgumentParser, what: str) -> None:
    """Label images as corrected by hand; `what` is done with them."""
    parser.add_argument(
        "--corrections", metavar="FOLDER", help=f"corrections made by `cellular view` (docs/view.md): {what}"
    )


def add_flat_field(parser: argparse.ArgumentParser, otherwise: str) -> None:
    """How uneven light is corrected."""
    parser.add_argument(
        "--flat_field",
        "--flat-field",
        metavar="auto|off|FOLDER",
        help="even out the light before measuring: auto where it helps, or by the flat-field images of a folder; "
        f"left out, {otherwise}",
    )


def measure_settings(args: argparse.Namespace) -> MeasureSettings:
    """Settings from the arguments of :func:`add_puncta`, :func:`add_reporter` and :func:`add_plate`."""
    from cellular.autophagy.measure.field import MeasureSettings
    from cellular.autophagy.measure.puncta_settings import PunctaSettings

    puncta = PunctaSettings(**{name: getattr(args, name) for name in PUNCTA})
    return MeasureSettings(args.pixel_size, puncta, args.reporter, args.keima_ratio, args.many_puncta)


def add_assay(parser: argparse.ArgumentParser) -> None:
    """Flux, doses, a second factor, the plate, for `stats` and `analyse`; the defaults are those of StatsSettings."""
    add = parser.add_argument_group("flux, doses, plate").add_argument
    add("--inhibitor", metavar="COLUMN", help="column of the lysosomal inhibitor; 'inhibitor' where there is one")
    add("--no_inhibitor", "--no-inhibitor", metavar="LEVEL", help="its value in wells without, where that is not clear")
    add("--time", metavar="COLUMN", help="column of the time after the block; the timepoints by default")
    add("--dose", metavar="COLUMN", default="dose", help="column of doses, numbers; its unit in COLUMN_unit")
    add("--factor", metavar="COLUMN", help="one further factor, a genotype say, with its interaction")
    add("--heatmaps", nargs="+", default=[], metavar="COLUMN", help="columns to draw on the plate; the first few")
    add("--b_score", "--b-score", action="store_true", help="B-scores of wells (median polish of each plate)")


def assay_settings(args: argparse.Namespace) -> dict:
    """Fields of StatsSettings from the arguments of :func:`add_assay`."""
    names = ("inhibitor", "no_inhibitor", "time", "dose", "factor", "b_score")
    return {name: getattr(args, name) for name in names} | {"heatmaps": tuple(args.heatmaps)}


def report_problems(problems: dict[str, str]) -> int:
    """Print what was passed over; the exit code."""
    from cellular.cli.main import EXIT_PROBLEMS

    for name, problem in problems.items():
        print(f"  passed over {name}: {problem}")
    return EXIT_PROBLEMS if problems else 0
