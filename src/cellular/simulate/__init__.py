"""How simulated reporter cells are made: population -> shapes -> puncta -> optics -> files.

The public calls are in :mod:`cellular.simulate.simulate`.
"""
