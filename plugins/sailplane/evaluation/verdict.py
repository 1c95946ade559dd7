"""Applies each rule of the gate to the evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sailplane.evaluation import turning
from sailplane.evaluation.daily import DailyEvidence, limit_text
from sailplane.evaluation.details import Slice
from sailplane.evaluation.gate import Gate
from sailplane.records import Rule

Metrics = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The figures that the rules judge.

    :param metrics: by contender: `challenger`, and `baseline` and `champion` if they exist
    :param gain_at_least: the lower bound of the gain over the champion, at the gate's confidence
    :param daily: the evidence of all days since the champion took over, if the gate counts days
    :param over_baseline_at_most: the upper bound of the gain over the baseline
    :param clusters_text: the number and kind of the clusters, such as `7 days`
    :param fault: why the bundle does not serve
    :param latency_ms: the latency of one row; None if the bundle does not serve
    :param as_of: the as-of of the run and of the champion; None without a champion
    """

    metrics: Metrics
    gain_at_least: float | None = None
    daily: DailyEvidence | None = None
    over_baseline_at_most: float | None = None
    clusters_text: str = ""
    slices: Sequence[Slice] = ()
    fault: str | None = None
    latency_ms: float | None = None
    as_of: tuple[datetime, datetime] | None = None


def verdict(gate: Gate, evidence: Evidence) -> tuple[Rule, ...]:
    """Each rule with what it got and expected; a model that passes all of them may serve."""
    return tuple(_rules(gate, evidence))


def reasons(gate: Gate, evidence: Evidence, rules: Sequence[Rule]) -> tuple[str, ...]:
    """The rules as sentences, and notes for the user."""
    got = evidence.metrics["challenger"][gate.metric]
    sentences = list(reasons_of(rules))
    if "champion" not in evidence.metrics:
        sentences.append("no champion yet: no rule compares with one")
    else:
        sentences.append(limit_text(gate))
    if "baseline" in evidence.metrics and gate.baseline is None:
        sentences.append(_against_baseline(gate, got, evidence.metrics["baseline"][gate.metric]))
    return tuple(sentences)


def reasons_of(rules: Sequence[Rule]) -> tuple[str, ...]:
    """The rules as sentences."""
    return tuple(f"{'passed' if rule.passed else 'failed'}: {rule}" for rule in rules)


def _rules(gate: Gate, evidence: Evidence) -> Iterator[Rule]:
    got = evidence.metrics["challenger"][gate.metric]
    reached, bound = gate.gain(got - gate.limit) >= 0, "at least" if gate.higher_is_better else "at most"
    reading, expected = f"{gate.metric} {got:.4f}", f"{bound} {gate.limit:.4f}"
    yield turning.limit(gate, Rule(name=_limit(gate), passed=reached, got=reading, expected=expected), got)
    if "champion" in evidence.metrics:
        yield _champion(gate, got, evidence.metrics["champion"][gate.metric], evidence)
        yield from (_slices(gate, column, evidence.slices) for column in gate.slices)
    if "baseline" in evidence.metrics and gate.baseline is not None:
        yield _baseline(gate, got, evidence.metrics["baseline"][gate.metric], evidence)
    if evidence.as_of and evidence.as_of[0] < evidence.as_of[1]:
        # The champion was trained on later days: the comparison would be unfair, and an older model must not replace
        # it.
        mine, its = (f"{known:%Y-%m-%d}" for known in evidence.as_of)
        yield Rule(
            name="as of",
            passed=False,
            got=mine,
            expected=f"no earlier than {its}, the champion's as-of",
            otherwise=f"would pass as of {its} or later",
        )
    served = evidence.fault or "its golden rows score as in training"
    yield Rule(name="serves", passed=evidence.fault is None, got=served, expected="the scores recorded in training")
    if gate.max_latency_ms is not None:
        yield _latency(gate.max_latency_ms, evidence.latency_ms)


def _champion(gate: Gate, got: float, champion: float, evidence: Evidence) -> Rule:
    at_least = evidence.gain_at_least
    more = "more" if gate.higher_is_better else "less"
    by = f", better by more than {gate.beat_champion_by:g}" if gate.beat_champion_by else ""
    expected = f"{more} than the champion's {champion:.4f}{by}"
    gain, reading = gate.gain(got - champion), f"{gate.metric} {got:.4f}"
    if gate.confidence is None:
        rule = Rule(name="champion", passed=gain > gate.beat_champion_by, got=reading, expected=expected)
        return turning.champion(gate, rule, gain, None, evidence.clusters_text)
    if gate.sequential:
        return _in_sequence(gate, gain, f"{reading}, a gain of {gain:+.4f}", expected, evidence.daily)
    passed = at_least is not None and at_least > gate.beat_champion_by
    sure = f"{gate.confidence:.4g}"
    bound = "no interval" if at_least is None else f"with confidence {sure} at least {at_least:+.4f}"
    reading += f", a gain of {gain:+.4f}, {bound}{_clusters(evidence)}"
    rule = Rule(name="champion", passed=passed, got=reading, expected=f"{expected} with confidence {sure}")
    return turning.champion(gate, rule, gain, at_least, evidence.clusters_text)


def _in_sequence(gate: Gate, gain: float, reading: str, expected: str, found: DailyEvidence | None) -> Rule:
    """Passes only if both this window and all days since the champion took over show the gain."""
    passed = found is not None and found.enough and gain > gate.beat_champion_by
    sure = f"with confidence {gate.confidence:.4g} over all looks"
    rule = Rule(name="champion", passed=passed, got=f"{reading}; {found or 'no days'}", expected=f"{expected} {sure}")
    return turning.in_sequence(gate, rule, gain, found.days if found else 0)


def _slices(gate: Gate, column: str, found: Sequence[Slice]) -> Rule:
    """Fails if any value of the column fails."""
    allowed = gate.slices[column]
    here = [part for part in found if part.column == column]
    judged = [part for part in here if part.gain is not None]
    worse = [part for part in judged if part.worse]
    sure = f", with confidence {1 - gate.level:.4g} for all slices"
    together = sum(part.gain is not None for part in found)
    each = f", each at level {gate.level / together:.2g}" if judged else ""
    counted = f"{len(judged)} of {len(here)} values judged{each}"
    worst = min(worse or judged, key=lambda part: part.gain or 0.0, default=None)
    got = f"{_worst(gate, worst)}; {counted}" if worst else counted
    expected = f"none worse by more than {allowed:g}{sure}"
    rule = Rule(name=f"slices of {column}", passed=not worse, got=got, expected=expected)
    return turning.slices(gate, rule, here, together)


def _latency(most: float, taken: float | None) -> Rule:
    passed, got = taken is not None and taken <= most, "no answer" if taken is None else f"{taken:.2f} ms a row"
    rule = Rule(name="latency", passed=passed, got=got, expected=f"at most {most:g} ms")
    return turning.latency(rule, most, taken)


def _worst(gate: Gate, worst: Slice) -> str:
    values = [f"{estimate.value:.4f}" if estimate else "?" for estimate in (worst.challenger, worst.champion)]
    return f"{worst.value} ({worst.rows} rows) {gate.metric} {values[0]}, the champion's {values[1]}"


def _limit(gate: Gate) -> str:
    return "minimum" if gate.higher_is_better else "maximum"


def _baseline(gate: Gate, got: float, baseline: float, evidence: Evidence) -> Rule:
    """Fails only if the model is worse than the baseline; an equal baseline does not count against it."""
    allowed, at_most = gate.baseline or 0.0, evidence.over_baseline_at_most
    gain, sure = gate.gain(got - baseline), f"{1 - gate.level:.4g}"
    bound = "no interval" if at_most is None else f"with confidence {sure} at most {at_most:+.4f}"
    by = f" by more than {allowed:g}" if allowed else ""
    rule = Rule(
        name="baseline",
        passed=at_most is None or at_most >= -allowed,
        got=f"{gate.metric} {got:.4f}, a gain of {gain:+.4f}, {bound}{_clusters(evidence)}",
        expected=f"not worse than the baseline's {baseline:.4f}{by} with confidence {sure}",
    )
    return turning.baseline(gate, rule, gain, at_most, evidence.clusters_text)


def _clusters(evidence: Evidence) -> str:
    return f" ({evidence.clusters_text})" if evidence.clusters_text else ""


def _against_baseline(gate: Gate, got: float, baseline: float) -> str:
    stands = "better than" if gate.gain(got - baseline) > 0 else "not better than"
    compared = f"for information: {gate.metric} {got:.4f} is {stands} the baseline's {baseline:.4f}"
    return f"{compared}; the gate has no rule about the baseline"
