"""`cellular analyse`: a plate folder in, a report out."""

import argparse

from cellular.cli.arguments import (
    NUMBERS_TOO,
    REPLICATE,
    add_assay,
    add_corrections,
    add_csv,
    add_exclude,
    add_flat_field,
    add_plate,
    add_puncta,
    add_reporter,
    add_segmentation,
    assay_settings,
    find,
    measure_settings,
    report_problems,
    segmentation_settings,
)
from cellular.cli.engines import add_engine, engine_of, on_gpu


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; the defaults are those of AnalyseSettings."""
    parser.add_argument("folder", metavar="FOLDER", help="folder of images as the microscope wrote them")
    parser.add_argument("--out", required=True, help="folder for everything; a second run goes on where this stopped")
    parser.add_argument("--dry_run", "--dry-run", action="store_true", help="say what is understood, and stop")
    parser.add_argument("--labels", help="folder of label images, in place of segmenting")
    parser.add_argument("--model", default="starter", help="segmentation model: a name or a file")
    parser.add_argument("--state_model", "--state-model", help="model.safetensors of classify train")
    parser.add_argument("--overlays", type=int, default=8, help="fields to draw outlines and puncta over")
    parser.add_argument("--ome_zarr", "--ome-zarr", action="store_true", help="write each plate as OME-Zarr too")
    add_plate(parser, more=NUMBERS_TOO)
    add_segmentation(parser, channels=False, seeds=True)
    add_reporter(parser)
    add_puncta(parser)
    add_corrections(parser, "corrected fields are measured by them, and only these anew")
    add_flat_field(parser, "it is estimated and reported, not applied")
    add_exclude(parser)
    group = parser.add_argument_group("tracks").add_argument
    group("--max_distance", "--max-distance", type=float, default=0.8, help="farthest step, in median cell diameters")
    group("--max_gap", "--max-gap", type=int, default=1, help="missing timepoints a track may bridge")
    group = parser.add_argument_group("comparison").add_argument
    group("--control", help="treatment to compare with; 'fed' where there is one")
    group("--treatment", default="treatment", help="column that says how a cell was treated")
    group("--replicate", help=REPLICATE)
    group("--features", nargs="+", default=[], metavar="COLUMN", help="columns to compare; all by default")
    group(
        "--min_replicates", "--min-replicates", type=int, default=3, help="fewest biological replicates for a p-value"
    )
    add_assay(parser)
    add_csv(parser)
    add_engine(parser)


def run(args: argparse.Namespace) -> int | None:
    """Analyse, and say what was passed over; exit code 1 where something was."""
    from cellular.autophagy.compare.design import StatsSettings
    from cellular.jobs.analyse import analyse
    from cellular.jobs.conclude import AnalyseSettings
    from cellular.track.link import TrackSettings

    plate = find(args, args.folder, args.labels)
    settings = AnalyseSettings(
        model=args.model,
        device=args.device,
        segment=segmentation_settings(args),
        measure=measure_settings(args),
        track=TrackSettings(max_distance=args.max_distance, max_gap=args.max_gap),
        stats=StatsSettings(
            treatment=args.treatment,
            control=args.control,
            replicate=args.replicate,
            features=tuple(args.features),
            min_replicates=args.min_replicates,
            **assay_settings(args),
        ),
        state_model=args.state_model,
        overlays=args.overlays,
        nuclei=args.nuclei,
        flat_field=args.flat_field,
    )
    if args.dry_run:
        print("\n".join(plate.summary()))
        return None
    options = {"labels": args.labels, "exclude": args.exclude, "config": args.config_text, "ome_zarr": args.ome_zarr}
    options |= {"corrections": args.corrections, "csv": args.csv}
    with engine_of(args, gpu=args.labels is None and on_gpu(args.device), threads=True) as engine:
        result = analyse(plate, args.out, settings, engine=engine, **options)
    print(f"{len(result.cells)} cells in {result.tables.rows('images')} fields")
    for note in result.quality_notes:
        print(note)
    compared = result.comparison
    for line in (*compared.refusals, *compared.notes) if compared else [f"no comparison: {result.no_comparison}"]:
        print(line)
    print(f"report: {result.page}")
    return report_problems(result.problems)
