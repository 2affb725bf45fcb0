"""cellular calibrate: settle a model's thresholds and scores on annotated fields."""

import argparse

from cellular.cli.arguments import add_segmentation, segmentation_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--valid_dir", "--valid-dir", required=True, help="folder of images with <field>_masks beside them")
    add("--output_model", "--output-model", required=True, help="file to write the settled model to")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--model_path", "--model-path", help="trained model file")
    what.add_argument("--model_type", "--model-type", help="model by name: starter, cyto, cyto2, cyto3")
    add_segmentation(parser, thresholds=False)


def run(args: argparse.Namespace) -> None:
    from pathlib import Path

    from cellular.errors import OutputExistsError
    from cellular.jobs.calibrate import calibrate
    from cellular.segment.model.registry import save_model
    from cellular.segment.segmenter import Segmenter

    out = Path(args.output_model)
    if out.exists():
        raise OutputExistsError(f"{out} exists; name another file with --output_model")
    segmenter = Segmenter.from_pretrained(args.model_path or args.model_type, args.device)
    result = calibrate(segmenter, args.valid_dir, segmentation_settings(args))
    info = result.model.info
    save_model(out, result.model.network, info)
    print(result.grid.round(3).to_string(index=False))
    print(f"chosen: flow_threshold {info.flow_threshold}, cellprob_threshold {info.cellprob_threshold} -> {out}")
