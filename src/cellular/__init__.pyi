"""What `import cellular` offers, for type checkers; ``__init__.py`` imports it when it is asked for."""

from cellular.data.find import find_plate
from cellular.data.plate import Plate
from cellular.data.platemap import read_plate_map
from cellular.jobs.analyse import analyse
from cellular.jobs.calibrate import calibrate
from cellular.jobs.classify import classify
from cellular.jobs.download import download
from cellular.jobs.evaluate import evaluate
from cellular.jobs.export import export
from cellular.jobs.inspect import inspect
from cellular.jobs.measure import measure
from cellular.jobs.prepare import prepare
from cellular.jobs.report import report
from cellular.jobs.segment import segment
from cellular.jobs.simulate import simulate
from cellular.jobs.stats import compare_tables as compare
from cellular.jobs.track import track
from cellular.jobs.train import train
from cellular.jobs.weights import weights
from cellular.segment.segmenter import Segmenter

__version__: str

__all__ = [
    "Plate",
    "Segmenter",
    "__version__",
    "analyse",
    "calibrate",
    "classify",
    "compare",
    "download",
    "evaluate",
    "export",
    "find_plate",
    "inspect",
    "measure",
    "prepare",
    "read_plate_map",
    "report",
    "segment",
    "simulate",
    "track",
    "train",
    "weights",
]
