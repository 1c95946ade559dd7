"""The counts of a model server, read from Prometheus' text format. serving/observations.py defines their names."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from sailplane.serving.customer_counts import escaped
from sailplane.serving.customer_groups import GROUPS, CustomerGroups
from sailplane.serving.observations import (
    GROUP_ANSWERS,
    GROUP_ERRORS,
    GROUP_REQUESTS,
    GROUP_REWARD,
    LATENCY,
    REQUESTS,
    REWARD,
    SCORE,
    STARTED,
    FeedbackTotals,
    Histogram,
    Observations,
    is_error,
)

if TYPE_CHECKING:
    from prometheus_client.samples import Sample

# The name of this feedback in a check.
REWARDED: Final = "reward"
_GROUP_PREFIX: Final = "sailplane_customer_group_"
_GROUP_SAMPLE: Final = re.compile(
    rf'^({_GROUP_PREFIX}\w+){{group="(\d+)"(?:,(?:within|answered)="((?:[^"\\]|\\.)*)")?,model=.* (\S+)$', re.MULTILINE
)


def observations(text: str, version: str) -> Observations:
    """The counts of the version's server, from its metrics in Prometheus' text format."""
    samples = parsed(text)
    counts = {int(sample.labels["code"]): 0.0 for sample in samples if sample.name == f"{REQUESTS}_total"}
    for sample in _predictions(samples):
        counts[int(sample.labels["code"])] += sample.value
    errors = sum(count for code, count in counts.items() if is_error(code))
    [started] = [sample.value for sample in samples if sample.name == STARTED]
    return Observations(
        started=started,
        requests=int(sum(count for code, count in counts.items() if code < 400) + errors),
        errors=int(errors),
        latency=_histogram(samples, LATENCY),
        predictions=_histogram(samples, SCORE),
        feedback={REWARDED: reward(text, version)},
        groups=_groups(text),
    )


def reward(text: str, version: str) -> FeedbackTotals:
    """The feedback that a server received on the version's answers."""
    grouped, answered = _by_group(text), escaped(version)
    values = {sample.name: sample.value for sample in parsed(text) if sample.labels.get("answered") == version}
    squares = values.get(f"{REWARD}_squares", 0.0)
    return FeedbackTotals(
        count=int(values.get(f"{REWARD}_count", 0)),
        total=values.get(f"{REWARD}_sum", 0.0),
        low=values.get(f"{REWARD}_low", 0.0),
        high=values.get(f"{REWARD}_high", 0.0),
        # An overflow counts as unknown, like a missing value from a server of an earlier release.
        squares=squares if math.isfinite(squares) else 0.0,
        counts=_counts(grouped, f"{GROUP_REWARD}_count", answered),
        totals=tuple(grouped.get((f"{GROUP_REWARD}_sum", answered), ())),
    )


def parsed(text: str) -> list[Sample]:
    """All samples except the many for groups of customers."""
    from prometheus_client.parser import text_string_to_metric_families

    text = "\n".join(line for line in text.splitlines() if not line.startswith(_GROUP_PREFIX))
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def _predictions(samples: list[Sample]) -> Iterator[Sample]:
    """The requests for scores."""
    total = f"{REQUESTS}_total"
    return (sample for sample in samples if sample.name == total and sample.labels["protocol"] != "other")


def _histogram(samples: list[Sample], name: str) -> Histogram:
    members = [sample for sample in samples if sample.name == f"{name}_bucket"]
    buckets = sorted((float(sample.labels["le"]), int(sample.value)) for sample in members)
    bounds, cumulated = zip(*buckets, strict=True)
    counts = [after - before for before, after in zip((0, *cumulated), cumulated, strict=False)]
    return Histogram(bounds=bounds[:-1], counts=tuple(counts))


def _groups(text: str) -> CustomerGroups:
    grouped = _by_group(text)
    answers = sorted((bound, counts) for (name, bound), counts in grouped.items() if name == f"{GROUP_ANSWERS}_total")
    return CustomerGroups(
        requests=_counts(grouped, f"{GROUP_REQUESTS}_total"),
        errors=_counts(grouped, f"{GROUP_ERRORS}_total"),
        answers={bound: tuple(map(int, counts)) for bound, counts in answers},
    )


def _counts(grouped: Mapping[tuple[str, str], list[float]], name: str, label: str = "") -> tuple[int, ...]:
    return tuple(map(int, grouped.get((name, label), ())))


def _by_group(text: str) -> dict[tuple[str, str], list[float]]:
    """The values of each group, by the metric's name and the label that follows the group's."""
    grouped: dict[tuple[str, str], list[float]] = {}
    for name, group, label, value in _GROUP_SAMPLE.findall(text):
        if (name, label) not in grouped:
            grouped[name, label] = [0.0] * GROUPS
        grouped[name, label][int(group)] = float(value)
    return grouped
