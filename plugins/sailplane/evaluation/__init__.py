"""What a model is worth, and whether it may serve."""

from sailplane.evaluation.judge import evaluate

__all__ = ["evaluate"]
