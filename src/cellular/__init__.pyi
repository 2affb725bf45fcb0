"""What `import cellular` offers, for type checkers; ``__init__.py`` imports it when it is asked for."""

from cellular.data.find import find_plate as find_plate
from cellular.data.plate import Plate as Plate
from cellular.data.platemap import read_plate_map as read_plate_map
from cellular.jobs.analyse import analyse as analyse
from cellular.jobs.calibrate import calibrate as calibrate
from cellular.jobs.classify import classify as classify
from cellular.jobs.download import download as download
from cellular.jobs.evaluate import evaluate as evaluate
from cellular.jobs.export import export as export
from cellular.jobs.inspect import inspect as inspect
from cellular.jobs.measure import measure as measure
from cellular.jobs.prepare import prepare as prepare
from cellular.jobs.segment import segment as segment
from cellular.jobs.simulate import simulate as simulate
from cellular.jobs.track import track as track
from cellular.jobs.train import train as train
from cellular.jobs.weights import weights as weights
from cellular.segment.segmenter import Segmenter as Segmenter

__version__: str
