"""cellular calibrate: settle a model's thresholds and scores on annotated fields."""

import argparse

from cellular.cli.arguments import add_segmentation, add_z, annotated_fields, segmentation_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--valid_dir", "--valid-dir", required=True, help="folder of images with <field>_masks beside them")
    add_z(parser)
    add("--output_model", "--output-model", required=True, help="file to write the settled model to")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--model_path", "--model-path", help="trained model file")
    what.add_argument("--model_type", "--model-type", help="model by name: starter, cyto, cyto2, cyto3")
    add_segmentation(parser, thresholds=False)


def run(args: argparse.Namespace) -> None:
    """Settle, and print what was tried and chosen."""
    from cellular.jobs.calibrate import calibrate
    from cellular.segment.segmenter import Segmenter

    segmenter = Segmenter.from_pretrained(args.model_path or args.model_type, args.device)
    result = calibrate(
        segmenter, annotated_fields(args.valid_dir, args.z), segmentation_settings(args), out=args.output_model
    )
    info = result.model.info
    print(result.grid.round(3).to_string(index=False))
    print(
        f"chosen: flow_threshold {info.flow_threshold}, cellprob_threshold {info.cellprob_threshold} "
        f"-> {args.output_model}"
    )
