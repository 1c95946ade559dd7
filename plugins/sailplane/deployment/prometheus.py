"""The counts of a model server, read from Prometheus' text format. serving/observations.py has their names."""

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

# The name in a check.
REWARDED: Final = "reward"
_OF_GROUPS: Final = "sailplane_customer_group_"
_OF_A_GROUP: Final = re.compile(
    rf'^({_OF_GROUPS}\w+){{group="(\d+)"(?:,(?:within|answered)="((?:[^"\\]|\\.)*)")?,model=.* (\S+)$', re.MULTILINE
)


def observations(text: str, version: str) -> Observations:
    """The counts of the version's server, from its metrics in Prometheus' text format."""
    samples = parsed(text)
    counts = {int(one.labels["code"]): 0.0 for one in samples if one.name == f"{REQUESTS}_total"}
    for one in _predictions(samples):
        counts[int(one.labels["code"])] += one.value
    errors = sum(count for code, count in counts.items() if is_error(code))
    [started] = [one.value for one in samples if one.name == STARTED]
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
    """The feedback that a server received on the answers of the version."""
    grouped, answered = _by_group(text), escaped(version)
    found = {one.name: one.value for one in parsed(text) if one.labels.get("answered") == version}
    squares = found.get(f"{REWARD}_squares", 0.0)
    return FeedbackTotals(
        count=int(found.get(f"{REWARD}_count", 0)),
        total=found.get(f"{REWARD}_sum", 0.0),
        low=found.get(f"{REWARD}_low", 0.0),
        high=found.get(f"{REWARD}_high", 0.0),
        # An overflow counts as unknown, as from a server of an earlier release.
        squares=squares if math.isfinite(squares) else 0.0,
        counts=_counts(grouped, f"{GROUP_REWARD}_count", answered),
        totals=tuple(grouped.get((f"{GROUP_REWARD}_sum", answered), ())),
    )


def parsed(text: str) -> list[Sample]:
    """All samples but those of groups of customers, which are many."""
    from prometheus_client.parser import text_string_to_metric_families

    text = "\n".join(line for line in text.splitlines() if not line.startswith(_OF_GROUPS))
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def _predictions(samples: list[Sample]) -> Iterator[Sample]:
    """The requests for scores."""
    return (one for one in samples if one.name == f"{REQUESTS}_total" and one.labels["protocol"] != "other")


def _histogram(samples: list[Sample], name: str) -> Histogram:
    buckets = sorted((float(one.labels["le"]), int(one.value)) for one in samples if one.name == f"{name}_bucket")
    bounds, cumulated = zip(*buckets, strict=True)
    counts = [after - before for before, after in zip((0, *cumulated), cumulated, strict=False)]
    return Histogram(bounds=bounds[:-1], counts=tuple(counts))


def _groups(text: str) -> CustomerGroups:
    found = _by_group(text)
    answers = sorted((bound, counts) for (name, bound), counts in found.items() if name == f"{GROUP_ANSWERS}_total")
    return CustomerGroups(
        requests=_counts(found, f"{GROUP_REQUESTS}_total"),
        errors=_counts(found, f"{GROUP_ERRORS}_total"),
        answers={bound: tuple(map(int, counts)) for bound, counts in answers},
    )


def _counts(found: Mapping[tuple[str, str], list[float]], name: str, label: str = "") -> tuple[int, ...]:
    return tuple(map(int, found.get((name, label), ())))


def _by_group(text: str) -> dict[tuple[str, str], list[float]]:
    """By the name of the metric, and the label that follows that of the group: the values by group."""
    found: dict[tuple[str, str], list[float]] = {}
    for name, group, label, value in _OF_A_GROUP.findall(text):
        if (name, label) not in found:
            found[name, label] = [0.0] * GROUPS
        found[name, label][int(group)] = float(value)
    return found
