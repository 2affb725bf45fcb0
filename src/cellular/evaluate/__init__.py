"""From truth and prediction to scores with intervals."""

from cellular.evaluate.evaluation import EvaluationResult, evaluate
from cellular.evaluate.scores import FieldScores, score_field, summary

__all__ = ["EvaluationResult", "FieldScores", "evaluate", "score_field", "summary"]
