"""`cellular view`: look at a run or a plate in the browser, correct outlines, teach the model."""

import argparse

from cellular.cli.arguments import add_plate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("source", metavar="RUN_OR_PLATE", help="folder that analyse, measure or segment wrote, or of images")
    add("--images", help="the run's images, where they are no longer where they were")
    add("--out", help="of a bare plate: folder for corrections and new results; left out, PLATE_view beside it")
    add("--port", type=int, default=0, help="of the page on this machine; 0 takes a free one")
    add("--no_browser", "--no-browser", action="store_true", help="print the address and open nothing")
    add("--who", help="name written into the log of corrections; left out, the user's")
    add_plate(parser)


def run(args: argparse.Namespace) -> None:
    """Serve the page until Ctrl-C."""
    import gc

    gc.disable()  # what is imported stays: looking through it again and again is an eighth of the time to the page
    try:
        _serve(args)
    finally:
        gc.enable()


def _serve(args: argparse.Namespace) -> None:
    import gc
    import logging

    from cellular.jobs.view import open_run
    from cellular.view.server import serve

    for told in ("tornado.access", "bokeh"):  # who asked for what, the token in it
        logging.getLogger(told).setLevel(logging.WARNING)
    how = {name: getattr(args, name) for name in ("scheme", "pattern", "channels", "z")}
    how |= {"plate_map": _plate_map(args.plate_map) if args.plate_map else None}
    opened = open_run(args.source, args.images, args.out, pixel_size_um=args.pixel_size, **how)
    with serve(opened, port=args.port, who=args.who) as server:
        gc.freeze()
        gc.enable()
        print(f"{len(opened.plate)} fields: {server.address}\nCtrl-C ends it; what was corrected is saved.", flush=True)
        if not args.no_browser:
            import webbrowser

            webbrowser.open(server.address)
        server.run()


def _plate_map(path: str) -> object:
    """The map, of which no column may be called like a measurement; what knows these is slow to import."""
    from cellular.autophagy.measure.columns import MEASURED
    from cellular.data.platemap import read_plate_map

    return read_plate_map(path, MEASURED)
