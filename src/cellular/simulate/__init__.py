"""Simulated reporter cells with truth: population -> shapes -> puncta -> optics -> files."""

from cellular.lazy import attach, callable_room

_NAMES = {
    **dict.fromkeys(
        ("SimulatedCell", "SimulatedField", "simulate_field", "simulate_series"), "cellular.simulate.field"
    ),
    "SimulationSettings": "cellular.simulate.settings",
}
__all__ = ["SimulatedCell", "SimulatedField", "SimulationSettings", "simulate_field", "simulate_series"]
__getattr__, __dir__ = attach(__name__, _NAMES)
callable_room(__name__)
