"""cellular prepare: per-cell masks to label images in train, valid and test folders."""

import argparse

from cellular.cli.engines import add_engine, engine_of

EXIT_PROBLEMS = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The published script's flags, and a few more."""
    add = parser.add_argument
    add(
        "-i",
        "--input_path",
        "--input-path",
        required=True,
        help="folder of per-field mask folders, or one holding it; or another tool's annotations, a file or folder",
    )
    add("-o", "--output_dir", "--output-dir", required=True, help="folder to write to: new, empty or begun before")
    add("-c", "--corresponding", metavar="DIR", help="folder of the images; else images-color or images is looked for")
    add("-d", "--image_dirname", "--image-dirname", default="", help="name of the images' folder inside the input")
    add("-m", "--mask_dirname", "--mask-dirname", default="masks", help="name of the masks' folder inside the input")
    add("-v", "--val_pattern", "--val-pattern", default="ST_I06", help="fields with this in their name are validation")
    add("-t", "--test_pattern", "--test-pattern", default="ST_C03", help="fields with this in their name are test")
    add("-f", "--format", "--formats", default="png", choices=("png", "tif"), help="file format of the label images")
    add("--split", metavar="NAME|FILE", help="instead of patterns: paper, followup2025 or a JSON file of three lists")
    add("--exclude_class", "--exclude-class", nargs="*", default=["Unidentified"], help="classes kept out of 'all'")
    add("--overlap", default="last", choices=("last", "first", "smallest"), help="who keeps a pixel two cells claim")
    add("--strict", action="store_true", help="stop at the first problem instead of reporting all at the end")
    add_engine(parser)


def run(args: argparse.Namespace) -> int:
    """Prepare, print what was written and what was wrong."""
    from cellular.jobs.prepare import PrepareSettings, prepare
    from cellular.jobs.processes import here

    settings = PrepareSettings(
        images=args.corresponding,
        image_dirname=args.image_dirname,
        mask_dirname=args.mask_dirname,
        split=args.split,
        val_pattern=args.val_pattern,
        test_pattern=args.test_pattern,
        format=args.format,
        exclude=tuple(args.exclude_class),
        overlap=args.overlap,
        strict=args.strict,
    )
    with engine_of(args, here=here()) as engine:
        result = prepare(args.input_path, args.output_dir, settings, engine=engine)
    print(f"fields: {', '.join(f'{count} {name}' for name, count in result.fields.items())}")
    print(f"cells:  {', '.join(f'{count} {name}' for name, count in sorted(result.cells.items()))}")
    for notice in result.notices:
        print(f"note: {notice}")
    for problem in result.problems:
        print(f"problem: {problem}")
    print(f"wrote {result.output} in {result.seconds:.1f} s", end="")
    print(f"; {len(result.problems)} problem(s), listed above" if result.problems else "")
    return EXIT_PROBLEMS if result.problems else 0
