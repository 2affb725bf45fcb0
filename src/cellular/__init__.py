"""From per-cell annotations to autophagy readouts: prepare, train, evaluate, measure.

Importing this package does nothing but define its version; each room is imported by name, e.g. ``cellular.segment``.
"""

__version__ = "0.1.0"
