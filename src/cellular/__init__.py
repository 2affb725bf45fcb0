"""From per-cell annotations to autophagy readouts: prepare, train, evaluate, measure.

What is listed here is imported when it is first asked for. ``help(cellular.analyse)`` explains a job; five jobs share
their name with the folder of their stage, for these see ``help(cellular.segment.job)``.
"""

from cellular.lazy import attach

__version__ = "0.1.0"

# The stub beside this file says the same to type checkers.
_FACE = {
    "Segmenter": "cellular.segment.segmenter",
    "Plate": "cellular.data.plate",
    "find_plate": "cellular.data.find",
    "read_plate_map": "cellular.data.platemap",
    "simulate": "cellular.jobs.simulate",
    "download": "cellular.jobs.download",
    "weights": "cellular.jobs.weights",
    "prepare": "cellular.jobs.prepare",
    "train": "cellular.jobs.train",
    "calibrate": "cellular.jobs.calibrate",
    "inspect": "cellular.jobs.inspect",
    "segment": "cellular.jobs.segment",
    "evaluate": "cellular.jobs.evaluate",
    "export": "cellular.jobs.export",
    "measure": "cellular.jobs.measure",
    "classify": "cellular.jobs.classify",
    "track": "cellular.jobs.track",
    "compare": "cellular.jobs.stats:compare_tables",
    "analyse": "cellular.jobs.analyse",
    "report": "cellular.jobs.report",
}
__all__ = ["__version__", *_FACE]
__getattr__, __dir__ = attach(__name__, _FACE)
