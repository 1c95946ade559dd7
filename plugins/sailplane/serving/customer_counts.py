"""The model server's counts by groups of customers, in Prometheus's text format.

Only requests with the header that names their customer are counted, so the series exist only where customers are named.
The lines are written by hand: prometheus_client takes ten times as long for so many series, and the server answers
nothing meanwhile.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from sailplane.serving.customer_groups import GROUPS, KEY, group_of
from sailplane.serving.observations import (
    GROUP_ANSWERS,
    GROUP_ERRORS,
    GROUP_REQUESTS,
    GROUP_REWARD,
    LATENCY_BOUNDS,
    is_error,
)

_KEY: Final = KEY.encode()
_BOUNDS: Final = (*map(str, LATENCY_BOUNDS), "+Inf")
# Clients name the versions that they reward; two of them take part in a rollout.
_MOST_ANSWERED: Final = 8


class CustomerCounts:
    """The counts of one server. `labels` are those of all series."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._labels = ",".join(f'{name}="{escaped(value)}"' for name, value in labels.items())
        self._requests, self._errors = _none(), _none()
        self._answers: dict[int, list[int]] = {}
        self._rewards: dict[str, tuple[list[int], list[float]]] = {}

    def answered(self, headers: Mapping[bytes, bytes], status: int, seconds: float) -> None:
        """Counts the answer to a prediction."""
        key = headers.get(_KEY)
        if not key:
            return
        group = group_of(key)
        error = is_error(status)
        self._requests[group] += status < 400 or error
        self._errors[group] += error
        index = bisect_left(LATENCY_BOUNDS, seconds)
        if index not in self._answers:
            self._answers[index] = _none()
        self._answers[index][group] += 1

    def rewarded(self, headers: Mapping[bytes, bytes], answered: str, reward: float) -> None:
        """`answered`: the rewarded version."""
        key = headers.get(_KEY)
        if not key or (answered not in self._rewards and len(self._rewards) >= _MOST_ANSWERED):
            return
        counts, totals = self._rewards.setdefault(answered, (_none(), [0.0] * GROUPS))
        group = group_of(key)
        counts[group] += 1
        totals[group] += reward

    def text(self) -> str:
        """Without series if no request named its customer."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        yield from self._counters(GROUP_REQUESTS, {"": self._requests})
        yield from self._counters(GROUP_ERRORS, {"": self._errors})
        within = {f',within="{_BOUNDS[index]}"': counts for index, counts in sorted(self._answers.items())}
        yield from self._counters(GROUP_ANSWERS, within)
        yield f"# TYPE {GROUP_REWARD} summary"
        for answered, (counts, totals) in self._rewards.items():
            label = f',answered="{escaped(answered)}"'
            yield from self._series(f"{GROUP_REWARD}_count", label, counts, counts)
            yield from self._series(f"{GROUP_REWARD}_sum", label, totals, counts)

    def _counters(self, name: str, columns: Mapping[str, Sequence[int]]) -> Iterator[str]:
        yield f"# TYPE {name}_total counter"
        for label, counts in columns.items():
            yield from self._series(f"{name}_total", label, counts, counts)

    def _series(self, name: str, label: str, values: Sequence[float], counts: Sequence[int]) -> list[str]:
        """Without groups that have nothing yet."""
        start, rest = f'{name}{{group="', f'"{label},{self._labels}}} '
        return [f"{start}{group}{rest}{values[group]!r}" for group, count in enumerate(counts) if count]


def _none() -> list[int]:
    return [0] * GROUPS


def escaped(label: str) -> str:
    """https://prometheus.io/docs/instrumenting/exposition_formats/#comments-help-text-and-type-information"""
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
