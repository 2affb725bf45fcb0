"""cellular evaluate: score a model, or labels, against expert labels."""

import argparse

from cellular.cli.arguments import (
    add_corrections,
    add_segmentation,
    add_z,
    annotated_fields,
    boolean,
    segmentation_settings,
)
from cellular.cli.engines import add_engine, engine_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--test_dir", "--test-dir", required=True, help="folder of images with <field>_masks beside them"
    )
    parser.add_argument("--output_dir", "--output-dir", required=True, help="folder for scores, labels and figures")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--model_path", "--model-path", help="trained model file")
    what.add_argument("--model_type", "--model-type", help="model by name: starter, cyto, cyto2, cyto3")
    what.add_argument("--labels", metavar="DIR", help="score label images made elsewhere, <field>_masks.tif")
    add_corrections(parser, "the truth of corrected fields; fields with no label image are left out")
    add_z(parser)
    parser.add_argument("--boxes", metavar="DIR", help="true boxes for the box AP, as YOLO files <field>.txt")
    parser.add_argument(
        "--interval_unit",
        "--interval-unit",
        choices=("well", "field"),
        default="well",
        help="what the intervals resample; fields of one well are alike",
    )
    add_segmentation(parser)
    parser.add_argument(
        "--figures", type=boolean, default=True, help="draw every field and curve, and the page report.html"
    )
    add_engine(parser)


def run(args: argparse.Namespace) -> int:
    import shlex
    from pathlib import Path

    from cellular.cli.main import EXIT_PROBLEMS
    from cellular.errors import MissingInputError
    from cellular.jobs.evaluate import evaluate
    from cellular.jobs.evaluation_pictures import draw_evaluation
    from cellular.segment.segmenter import Segmenter

    if args.model_path and not Path(args.model_path).is_file():
        raise MissingInputError(f"No such model file: {args.model_path} (for a model by name use --model_type)")
    settings = segmentation_settings(args)
    model = args.model_path or args.model_type
    segmenter = Segmenter.from_pretrained(model, args.device) if model else None
    fields = annotated_fields(args.test_dir, args.z, args.corrections)
    where = (fields, args.output_dir, segmenter, settings, args.labels, args.boxes, args.interval_unit)
    with engine_of(args, gpu=segmenter is not None and segmenter.device.type != "cpu", threads=True) as engine:
        result = evaluate(*where, corrections=args.corrections, engine=engine)
        if args.figures:
            result.problems.update(draw_evaluation(result, engine))
    if args.figures:
        from cellular.jobs.evaluation_page import write_evaluation_page

        out = result.output_dir
        typed = ["cellular", "evaluate", "--config", str(out / "evaluate.toml"), "--output_dir", str(out)]
        print(f"report: {write_evaluation_page({Path(model or args.labels).name: result}, out, [shlex.join(typed)])}")
    for name, value in headline(result.values).items():
        low, high = result.intervals.get(name, (None, None))
        print(f"{name:28} {value:7.3f}" + (f"   [{low:.3f}, {high:.3f}]" if low is not None else ""))
    print(f"{len(result.fields)} fields; {result.clusters.note} -> {args.output_dir}")
    for name, problem in result.problems.items():
        print(f"  passed over {name}: {problem}")
    return EXIT_PROBLEMS if result.problems else 0


def headline(values: dict[str, float]) -> dict[str, float]:
    """The handful of scores that the terminal shows; the JSON holds them all."""
    names = ["pixel.average.f1", "pixel.average.jaccard", "instance.0.50.precision", "instance.0.50.recall"]
    names += ["instance.0.50.f1", "instance.0.75.ap", "panoptic.pq", "aji", "boundary.f1", "box.ap50", "box.ap50_95"]
    return {name: values[name] for name in names}
