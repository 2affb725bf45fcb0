"""`cellular teach`: fine-tune a model on the fields of a run that were corrected by hand."""

import argparse

from cellular.cli.arguments import add_plate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; the defaults are those of TeachSettings."""
    add = parser.add_argument
    add("source", metavar="RUN", help="folder that analyse, measure or segment wrote, or of images")
    add("--out", required=True, help="folder for the model and what it is worth; the same again continues")
    add("--corrections", metavar="FOLDER", help="corrections made by `cellular view`; left out, the run's own")
    add("--images", help="the run's images, where they are no longer where they were")
    add("--model", help="what to start from: a name or a file; left out, the run's model, else starter")
    add(
        "--diameter",
        type=float,
        help="cell diameter in px, to segment before and after; left out, the run's, and of given outlines their own",
    )
    add("--n_epochs", "--n-epochs", type=int, default=20, help="passes over the corrected fields")
    add("--fields_per_epoch", "--fields-per-epoch", type=int, default=16, help="crops a pass")
    add("--learning_rate", "--learning-rate", type=float, default=0.0001, help="peak of the schedule")
    add("--crop_size", "--crop-size", type=int, default=224, help="side of the crops, px")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    add_plate(parser, wells=False)


def run(args: argparse.Namespace) -> None:
    """Teach, and print what the model was worth before and is now."""
    from dataclasses import replace

    from cellular.jobs.lessons import helped
    from cellular.jobs.teach import TeachSettings, corrected_diameter, teach
    from cellular.jobs.view import open_run

    how = {name: getattr(args, name) for name in ("scheme", "pattern", "channels", "z")}
    run = open_run(args.source, args.images, pixel_size_um=args.pixel_size, **how)
    defaults = TeachSettings()
    names = ("n_epochs", "fields_per_epoch", "learning_rate", "crop_size")
    segment, diameter = run.segmenting, args.diameter
    corrections = args.corrections or run.corrections
    if diameter is None and segment.diameter is None and run.record.get("labels"):
        diameter = corrected_diameter(run.plate, corrections)
    settings = TeachSettings(
        args.model or run.record.get("model", defaults.model),
        replace(segment, diameter=diameter) if diameter else segment,
        replace(defaults.train, **{name: getattr(args, name) for name in names}),
    )
    lesson = teach(run.plate, corrections, args.out, settings, args.device)
    print(f"learnt from {len(lesson.learnt)} corrected fields; on {len(lesson.held_out)} held out:")
    for name, before in lesson.before.items():
        print(f"{name:20} {before:6.3f} -> {lesson.after[name]:6.3f}")
    proposed = "it helped" if helped(lesson.before, lesson.after) else "it did not help: keep the model you have"
    print(f"{proposed}; model {lesson.model}")
