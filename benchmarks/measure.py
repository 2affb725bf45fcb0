"""How long one field takes to measure: 2048 x 2048 px, 250 cells, with puncta.

python -m benchmarks.measure
"""

import statistics
import time

import numpy as np

from cellular.autophagy.measure.field import measure_field
from cellular.data.image import FieldImage
from cellular.data.plate import ROLE_ORDER
from cellular.simulate import SimulationSettings, simulate_field

REPEATS = 3


def main() -> None:
    """Print the median seconds for raw channels and for the composite."""
    field = simulate_field(SimulationSettings(cells_per_field=250))
    egfp, mrfp, transmitted = field.channels
    labels = field.labels()
    for name, image in (
        ("raw", FieldImage.of(np.stack([mrfp, egfp, transmitted], axis=-1), ROLE_ORDER[:3])),
        ("composite", FieldImage.of(field.composite(), kind="composite")),
    ):
        seconds = []
        for _ in range(REPEATS + 1):
            start, cpu = time.perf_counter(), time.process_time()
            tables = measure_field(image, labels, field.name)
            seconds.append((time.perf_counter() - start, time.process_time() - cpu))
        wall, processor = (statistics.median(times) for times in zip(*seconds[1:]))  # the first warms up
        counts = f"{len(tables['cells'])} cells, {len(tables['puncta'])} puncta"
        print(f"{name}: {wall:.2f} s, {processor:.2f} s of processor time ({counts})")


if __name__ == "__main__":
    main()
