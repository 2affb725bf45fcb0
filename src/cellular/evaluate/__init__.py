"""Truth and prediction to scores with intervals."""

from cellular.lazy import attach, callable_room

_NAMES = dict.fromkeys(("FieldScores", "score_field", "summary"), "cellular.evaluate.scores")
__all__ = ["FieldScores", "score_field", "summary"]
__getattr__, __dir__ = attach(__name__, _NAMES)
callable_room(__name__)
