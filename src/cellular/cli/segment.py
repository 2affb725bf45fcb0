"""cellular segment: label the cells in any images."""

import argparse

from cellular.cli.arguments import boolean, diameter


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image files (TIFF, PNG, JPEG) or folders of them")
    parser.add_argument("--model", default="starter", help="starter, cyto, cyto2, cyto3, or a model file")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for label images, cells.csv and overlays")
    parser.add_argument(
        "--diameter",
        type=diameter,
        help="cell diameter in px, or auto to estimate it from each image; left out, the model's, else auto",
    )
    parser.add_argument("--channels", type=int, nargs="+", metavar="C", help="image channels for the network, 0 = grey")
    parser.add_argument(
        "--flow_threshold", "--flow-threshold", type=float, help="0 keeps every cell; left out, the model's"
    )
    parser.add_argument(
        "--cellprob_threshold", "--cellprob-threshold", type=float, help="lower finds more; left out, the model's"
    )
    parser.add_argument("--min_size", "--min-size", type=int, default=15, help="smallest cell, px")
    parser.add_argument("--niter", type=int, help="steps to follow the flows; left out, in proportion to the diameter")
    parser.add_argument("--augment", type=boolean, default=False, help="average over flips (four times slower)")
    parser.add_argument("--tiling", choices=("whole", "cellpose"), default="whole", help="cellpose equals Cellpose 3")
    parser.add_argument(
        "--window", type=int, default=4096, help="larger images are segmented in windows of this side, px"
    )
    parser.add_argument("--invert", type=boolean, default=False, help="dark cells on bright ground")
    parser.add_argument("--overlays", type=boolean, default=True, help="draw outlines over each image")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")


def run(args: argparse.Namespace) -> int:
    from cellular.cli.main import EXIT_PROBLEMS
    from cellular.segment.files import SegmentSettings, find_images, segment_files
    from cellular.segment.segmenter import Segmenter

    settings = SegmentSettings(
        diameter=args.diameter,
        channels=tuple(args.channels) if args.channels else None,
        flow_threshold=args.flow_threshold,
        cellprob_threshold=args.cellprob_threshold,
        min_size=args.min_size,
        niter=args.niter,
        augment=args.augment,
        tiling=args.tiling,
        invert=args.invert,
        window=args.window,
    )
    images = find_images(args.images)
    result = segment_files(images, Segmenter.from_pretrained(args.model, args.device), args.out, settings)
    if args.overlays:
        from cellular.report.outlines import draw_overlays

        draw_overlays(images, result.labels, args.out)
    print(f"{len(result.cells)} cells in {len(result.labels)} of {len(images)} images -> {args.out}")
    for name, problem in result.problems.items():
        print(f"  passed over {name}: {problem}")
    return EXIT_PROBLEMS if result.problems else 0
