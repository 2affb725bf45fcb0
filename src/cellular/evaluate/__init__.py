"""From truth and prediction to scores with intervals."""

from cellular.evaluate.scores import FieldScores, score_field, summary

__all__ = ["FieldScores", "score_field", "summary"]
