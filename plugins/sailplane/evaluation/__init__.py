"""Measures models, and decides whether one may serve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sailplane.evaluation.judge import evaluate

__all__ = ["evaluate"]


def __getattr__(name: str) -> Any:
    """A DAG file imports `gate` from here, and must not pay for pandas."""
    if name == "evaluate":
        from sailplane.evaluation.judge import evaluate

        return evaluate
    raise AttributeError(name)
