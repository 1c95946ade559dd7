"""What a model server counts, read from Prometheus' text form. Its names are in rollout/observations.py."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from sailplane.serving.observations import (
    LATENCY,
    REQUESTS,
    REWARD,
    SCORE,
    STARTED,
    FeedbackTotals,
    Histogram,
    Observations,
)

if TYPE_CHECKING:
    from prometheus_client.samples import Sample

# A score that is no number has a 4xx of its own.
NO_NUMBER = 422
# As a check names it.
REWARDED: Final = "reward"


def observations(text: str, version: str) -> Observations:
    """Of that version's server, by its metrics in Prometheus' text form."""
    samples = parsed(text)
    counts = {int(one.labels["code"]): 0.0 for one in samples if one.name == f"{REQUESTS}_total"}
    for one in _predictions(samples):
        counts[int(one.labels["code"])] += one.value
    errors = sum(count for code, count in counts.items() if code >= 500 or code == NO_NUMBER)
    [started] = [one.value for one in samples if one.name == STARTED]
    return Observations(
        started=started,
        requests=int(sum(count for code, count in counts.items() if code < 400) + errors),
        errors=int(errors),
        latency=_histogram(samples, LATENCY),
        predictions=_histogram(samples, SCORE),
        feedback={REWARDED: reward(text, version)},
    )


def reward(text: str, version: str) -> FeedbackTotals:
    """What was fed back to a server on the answers of that version."""
    found = {one.name: one.value for one in parsed(text) if one.labels.get("answered") == version}
    squares = found.get(f"{REWARD}_squares", 0.0)
    return FeedbackTotals(
        count=int(found.get(f"{REWARD}_count", 0)),
        total=found.get(f"{REWARD}_sum", 0.0),
        low=found.get(f"{REWARD}_low", 0.0),
        high=found.get(f"{REWARD}_high", 0.0),
        # An overflow counts as unknown, as from a server of an earlier release.
        squares=squares if math.isfinite(squares) else 0.0,
    )


def parsed(text: str) -> list[Sample]:
    from prometheus_client.parser import text_string_to_metric_families

    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def _predictions(samples: list[Sample]) -> Iterator[Sample]:
    """The requests that asked for scores."""
    return (one for one in samples if one.name == f"{REQUESTS}_total" and one.labels["protocol"] != "other")


def _histogram(samples: list[Sample], name: str) -> Histogram:
    buckets = sorted((float(one.labels["le"]), int(one.value)) for one in samples if one.name == f"{name}_bucket")
    bounds, cumulated = zip(*buckets, strict=True)
    counts = [after - before for before, after in zip((0, *cumulated), cumulated, strict=False)]
    return Histogram(bounds=bounds[:-1], counts=tuple(counts))
