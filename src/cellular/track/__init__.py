"""Labels over time to tracks: what a link costs, the links, states along them, scores."""

from cellular.lazy import attach, callable_room

__all__ = ["TrackSettings"]
__getattr__, __dir__ = attach(__name__, {"TrackSettings": "cellular.track.link"})
callable_room(__name__)
