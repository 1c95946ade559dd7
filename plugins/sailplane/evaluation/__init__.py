"""Measures models and decides whether they may serve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sailplane.evaluation.judge import evaluate

__all__ = ["evaluate"]


def __getattr__(name: str) -> Any:
    """Imports `evaluate` on first use, so that a DAG file that needs only the gate does not import pandas."""
    if name == "evaluate":
        from sailplane.evaluation.judge import evaluate

        return evaluate
    raise AttributeError(name)
