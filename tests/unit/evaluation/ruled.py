"""Verdicts of a gate on made-up evidence."""

from __future__ import annotations

from typing import Any

from sailplane.evaluation.details import Estimate, Slice
from sailplane.evaluation.gate import Gate
from sailplane.evaluation.verdict import Evidence, reasons, verdict
from sailplane.records import Rule


def judged(gate: Gate, found: dict[str, float], metric: str = "auc", **evidence: Any) -> tuple[bool, tuple[str, ...]]:
    """Returns whether all rules passed, and the reasons."""
    whole = Evidence(metrics={name: {metric: value} for name, value in found.items()}, **evidence)
    rules = verdict(gate, whole)
    return all(rule.passed for rule in rules), reasons(gate, whole, rules)


def rule(gate: Gate, name: str, **evidence: Any) -> Rule:
    found = {"challenger": {"auc": 0.7}, "champion": {"auc": 0.69}, "baseline": {"auc": 0.71}}
    [chosen] = [rule for rule in verdict(gate, Evidence(metrics=found, **evidence)) if rule.name == name]
    return chosen


def piece(value: str, challenger: float, champion: float, *, worse: bool) -> Slice:
    estimates = {name: Estimate(value=value) for name, value in [("challenger", challenger), ("champion", champion)]}
    gain = challenger - champion
    return Slice(column="country", value=value, rows=800, **estimates, gain=gain, worse=worse)
