"""The change that would have reversed the verdict of a rule.

If an interval decides, the turning point is the estimate that would have given the other verdict with an interval of
the same width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sailplane.evaluation.details import Slice
from sailplane.evaluation.gate import Gate
from sailplane.evaluation.intervals import clusters_text
from sailplane.records import Rule

_SPREAD = "with the same spread"


def limit(gate: Gate, rule: Rule, got: float) -> Rule:
    """The rule about the minimum or the maximum."""
    inside, outside = ("above", "below") if gate.higher_is_better else ("below", "above")
    at = f"{gate.metric} {gate.limit:.4f}"
    otherwise = f"would fail {outside} {at}" if rule.passed else f"would pass at {at} or {inside}"
    return replace(rule, estimate=got, turns=gate.limit, otherwise=otherwise)


def champion(gate: Gate, rule: Rule, gain: float, at_least: float | None, clusters: str) -> Rule:
    """Passes with a gain, or a lower bound of the gain, above `beat_champion_by`."""
    if gate.confidence is None:
        turns = gate.beat_champion_by
        return replace(rule, estimate=gain, turns=turns, otherwise=_above(rule, turns))
    rule = replace(rule, estimate=gain, bound=at_least, level=gate.level, clusters=clusters)
    if at_least is None:
        return replace(rule, otherwise="would pass only with an interval")
    turns = gate.beat_champion_by + gain - at_least
    return replace(rule, turns=turns, otherwise=f"{_above(rule, turns)}, {_SPREAD}")


def in_sequence(gate: Gate, rule: Rule, gain: float, days: int) -> Rule:
    """Passes with enough evidence of all days and a gain above `beat_champion_by` on this window."""
    turns, enough = gate.beat_champion_by, f"e = {1 / gate.level:.4g}"
    otherwise = (
        f"would fail with less than {enough}, or a gain of {_signed(turns)} or less"
        if rule.passed
        else f"would pass with {enough} or more and a gain above {_signed(turns)}"
    )
    days_text = clusters_text(gate.cluster, days)
    return replace(rule, estimate=gain, level=gate.level, clusters=days_text, turns=turns, otherwise=otherwise)


def baseline(gate: Gate, rule: Rule, gain: float, at_most: float | None, clusters: str) -> Rule:
    """Fails if the upper bound of the gain is below the allowed loss."""
    rule = replace(rule, estimate=gain, bound=at_most, level=gate.level, clusters=clusters)
    if at_most is None:
        return replace(rule, otherwise="would fail only with an interval")
    turns = gain - at_most - (gate.baseline or 0.0)
    return replace(rule, turns=turns, otherwise=f"would {_at_least(rule, turns)}, {_SPREAD}")


def slices(gate: Gate, rule: Rule, here: Sequence[Slice], judged: int) -> Rule:
    """`here` are the slices of the rule's column; `judged` is the number of judged slices of all columns together."""
    known = [part for part in here if part.gain is not None and part.fails_at is not None]
    if not known:
        return rule
    worse = [part for part in known if part.worse]
    # The slice that is closest to failing, or, if some fail, the one that is farthest from passing.
    nearest = min(known, key=_room)
    turns = -(nearest.fails_at or 0.0)
    rule = replace(rule, estimate=nearest.gain, bound=-gate.slices[nearest.column] + _room(nearest), turns=turns)
    rule = replace(rule, level=gate.level / judged, clusters=clusters_text(gate.cluster, nearest.clusters or 0))
    more = f" and a higher gain in {len(worse) - 1} more" if len(worse) > 1 else ""
    return replace(rule, otherwise=f"would {_at_least(rule, turns)} in {nearest.value}{more}, {_SPREAD}")


def latency(rule: Rule, most: float, taken: float | None) -> Rule:
    otherwise = f"would fail above {most:g} ms" if rule.passed else f"would pass at {most:g} ms or less"
    return replace(rule, estimate=taken, turns=most, otherwise=otherwise)


def _above(rule: Rule, turns: float) -> str:
    if rule.passed:
        return f"would fail with a gain of {_signed(turns)} or less"
    return f"would pass with a gain above {_signed(turns)}"


def _at_least(rule: Rule, turns: float) -> str:
    return (
        f"fail with a gain below {_signed(turns)}" if rule.passed else f"pass with a gain of {_signed(turns)} or more"
    )


def _room(part: Slice) -> float:
    """The additional loss at which the slice would fail; negative if it fails."""
    return (part.gain or 0.0) + (part.fails_at or 0.0)


def _signed(gain: float) -> str:
    return f"{gain:+.4f}" if gain else "0"
