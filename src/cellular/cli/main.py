"""The `cellular` command: registers the verbs and nothing else.

A verb is a module of this folder with ``add_arguments(parser)`` and ``run(args) -> int | None``. Only the chosen
verb's module is imported, and it imports what is heavy inside ``run``, so ``cellular --help`` is instant.
"""

import argparse
import errno
import gc
import importlib
import logging
import os
import signal
import sys
from collections.abc import Sequence

from cellular import __version__
from cellular.cli.config import add_config, keep_config, parse_with_config
from cellular.errors import CellularError, PartDone
from cellular.jobs.engines import GARBAGE_EVERY, INTERRUPTIBLE

VERBS = {
    "demo": "simulate, prepare, train, evaluate: the whole job in minutes",
    "simulate": "make fields of simulated reporter cells, with truth",
    "download": "fetch the CELLULAR dataset or model weights",
    "weights": "list the models that are here and that could be",
    "prepare": "combine per-cell masks into label images and splits",
    "train": "fine-tune a Cellpose model",
    "calibrate": "settle a model's thresholds and scores on annotated fields",
    "inspect": "say what is understood of a plate's folder",
    "quality": "find fields that are out of focus, saturated or odd",
    "segment": "label the cells in any images",
    "evaluate": "score a model, or labels, against expert labels",
    "reproduce": "run all experiments of the paper",
    "export": "write labels or a model in another tool's format",
    "measure": "per-cell intensities, puncta and autophagy readouts",
    "classify": "basal or activated autophagy, per cell",
    "track": "follow cells over timepoints",
    "stats": "compare treatments with replicate-aware statistics",
    "analyse": "segment, measure, classify, track and compare a plate",
    "report": "make the page of a run again",
    "view": "look at a run or a plate in the browser, and correct it",
    "teach": "fine-tune a model on corrected fields",
    "gather": "join what shards of a command did",
}

# What the same command does after Ctrl-C; the verbs that are not named start again.
CONTINUES = "the same command continues where it stopped"
_BY_FIELD = ("prepare", "quality", "segment", "measure", "analyse", "track", "evaluate", "export", "teach")
AFTER_INTERRUPT = dict.fromkeys((*_BY_FIELD, "download", "reproduce"), CONTINUES)
AFTER_INTERRUPT["train"] = "with --resume the same command continues from the last checkpoint"

# What a disk may answer at any moment, to any library.
FULL_OR_CLOSED = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)

# Verbs whose options may come from a file: those that take long.
_MORE = ("train", "calibrate", "classify", "stats", "reproduce")
CONFIGURED = (*_BY_FIELD, *_MORE)

# Exit codes: 0 all well; 1 finished, but some inputs were reported and passed over; 2 stopped by an error.
EXIT_PROBLEMS = 1
EXIT_ERROR = 2
EXIT_INTERRUPTED = 130


def build_parser(verb: str | None) -> tuple[argparse.ArgumentParser, argparse.ArgumentParser | None]:
    """Parser with every verb listed, and the arguments of `verb` alone filled in; and that verb's own."""
    parser = argparse.ArgumentParser(prog="cellular", description="From per-cell annotations to autophagy readouts.")
    parser.add_argument("--version", action="version", version=f"cellular {__version__}")
    commands = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    chosen = None
    for name, summary in VERBS.items():
        sub = commands.add_parser(
            name, help=summary, description=summary, formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )
        sub.add_argument("--verbose", action="store_true", help="log every step")
        if name == verb:
            chosen = sub
            importlib.import_module(f"cellular.cli.{name}").add_arguments(sub)
            if name in CONFIGURED:
                add_config(sub)
    return parser, chosen


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code. Errors a user can act on are printed without a traceback."""
    gc.set_threshold(GARBAGE_EVERY)
    argv = list(sys.argv[1:] if argv is None else argv)
    if INTERRUPTIBLE in os.environ:
        # begun below something that a shell has put into the background, it would be deaf to the signal that stops it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    verb = next((word for word in argv if word in VERBS), None)
    parser, sub = build_parser(verb)
    try:
        args = parse_with_config(parser, sub, argv)
    except CellularError as error:
        print(f"cellular {verb}: error: {error}", file=sys.stderr)
        return EXIT_ERROR
    logging.basicConfig(
        level=logging.DEBUG if args.verbose else logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr
    )
    for noisy in ("matplotlib", "numba", "PIL", "fontTools"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        args.argv = argv
        code = importlib.import_module(f"cellular.cli.{args.verb}").run(args) or 0
        keep_config(args)
        return code
    except PartDone as part:
        print(part)
        for name, problem in part.problems.items():
            print(f"  passed over {name}: {problem}")
        return EXIT_PROBLEMS if part.problems else 0
    except CellularError as error:
        from tqdm import tqdm

        # Not onto the line of a progress bar that the error left unfinished.
        tqdm.write(f"cellular {args.verb}: error: {error}", file=sys.stderr)
        return EXIT_ERROR
    except OSError as error:
        if error.errno not in FULL_OR_CLOSED:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"cellular {args.verb}: error: {where}{error.strerror}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        then = AFTER_INTERRUPT.get(args.verb, "the same command starts again")
        print(f"\ncellular {args.verb}: interrupted; {then}", file=sys.stderr)
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
