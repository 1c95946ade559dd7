"""Observations of a version's answers, as counts that add up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, Self

from sailplane.records import SPARSE, Record
from sailplane.serving.customer_groups import CustomerGroups, added, risen

# In seconds. Ten per decade (ISO 3, R10), so that the limits that users choose are among them.
_DECADE: Final = (1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0)
LATENCY_BOUNDS: Final = (*(float(f"{part}e{power}") for power in range(-4, 1) for part in _DECADE), 10.0)
PREDICTION_BOUNDS: Final = tuple(part / 20 for part in range(1, 20))

# The model server's metric names.
STARTED: Final = "sailplane_started_seconds"
REQUESTS: Final = "sailplane_requests"
LATENCY: Final = "sailplane_request_seconds"
SCORE: Final = "sailplane_score"
REWARD: Final = "sailplane_reward"
GROUP_REQUESTS: Final = "sailplane_customer_group_requests"
GROUP_ERRORS: Final = "sailplane_customer_group_errors"
GROUP_ANSWERS: Final = "sailplane_customer_group_answers"
GROUP_REWARD: Final = "sailplane_customer_group_reward"
# A score that is no number has a 4xx of its own.
_NO_NUMBER: Final = 422


@dataclass(frozen=True, kw_only=True)
class Histogram(Record):
    """`counts[i]` is the number of values above `bounds[i - 1]` and at most `bounds[i]`; the last one counts values
    above all bounds. Empty without bounds."""

    bounds: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        return sum(self.counts)

    def above(self, limit: float) -> int:
        """The number of values that are certainly above the limit: those above the first bound that reaches it."""
        first = next((index for index, bound in enumerate(self.bounds) if bound >= limit), len(self.bounds))
        return sum(self.counts[first + 1 :])

    def up_to(self, index: int) -> int:
        """The number of values that are at most the bound at this index."""
        return sum(self.counts[: index + 1])

    def quantile(self, share: float) -> float | None:
        """The first bound that at least `share` of the values do not exceed; None if no bound does, or without
        values."""
        reached = 0
        for bound, count in zip(self.bounds, self.counts, strict=False):
            reached += count
            if self.count and reached >= share * self.count:
                return bound
        return None

    def __add__(self, other: Self) -> Self:
        return self._with(other, 1)

    def __sub__(self, other: Self) -> Self:
        return self._with(other, -1)

    def _with(self, other: Self, sign: int) -> Self:
        """Combines two histograms. If the bounds differ, returns the newer one: a version's bounds change only with its
        server."""
        if not other.bounds or (self.bounds and self.bounds != other.bounds):
            return self
        mine = self.counts or (0,) * len(other.counts)
        counts = tuple(count + sign * change for count, change in zip(mine, other.counts, strict=True))
        return type(self)(bounds=other.bounds, counts=counts)


@dataclass(frozen=True, kw_only=True)
class FeedbackTotals(Record):
    """The feedback values of a metric: their count, their sum, the sum of their squares, the smallest and the largest
    so far. `squares` is 0 if a server of an earlier release counts. `counts` and `totals` are those of each customer
    group; empty if no feedback names its customer."""

    count: int = 0
    total: float = 0.0
    low: float = 0.0
    high: float = 0.0
    squares: float = 0.0
    counts: tuple[int, ...] = field(default=(), metadata=SPARSE)
    totals: tuple[float, ...] = field(default=(), metadata=SPARSE)

    def __add__(self, other: Self) -> Self:
        if not (self.count and other.count):
            return self if self.count else other
        return type(self)(
            count=self.count + other.count,
            total=self.total + other.total,
            low=min(self.low, other.low),
            high=max(self.high, other.high),
            squares=self.squares + other.squares,
            counts=added(self.counts, other.counts),
            totals=added(self.totals, other.totals),
        )

    def since(self, earlier: Self) -> Self:
        """The feedback after `earlier`. Each server counts the feedback that it receives. If the count fell, one server
        restarted from 0, and the counts of the others were already seen."""
        if self.count < earlier.count:
            return type(self)()
        count, total = self.count - earlier.count, self.total - earlier.total
        squares = max(self.squares - earlier.squares, 0.0)
        counts, totals = risen(self.counts, earlier.counts), risen(self.totals, earlier.totals)
        return replace(self, count=count, total=total, squares=squares, counts=counts, totals=totals)


@dataclass(frozen=True, kw_only=True)
class Observations(Record):
    """:param started: start of counting, in seconds since 1970. Another value means that the counts restarted from 0
    :param requests: answered requests, except client errors (4xx)
    :param errors: requests without a prediction: 5xx, no answer, or a score that is not a number
    :param latency: seconds per answer, of all requests
    :param predictions: scores: the probability for a yes/no target, the largest of several classes
    :param feedback: by metric: rewards, and late labels compared with predictions, joined by the request's id
    :param groups: of those requests that name their customer
    """

    started: float = 0.0
    requests: int = 0
    errors: int = 0
    latency: Histogram = field(default_factory=Histogram)
    predictions: Histogram = field(default_factory=Histogram)
    feedback: Mapping[str, FeedbackTotals] = field(default_factory=dict)
    groups: CustomerGroups = field(default_factory=CustomerGroups, metadata=SPARSE)

    def without_customers(self) -> Self:
        """Without the counts by groups of customers."""
        feedback = {name: replace(totals, counts=(), totals=()) for name, totals in self.feedback.items()}
        return replace(self, groups=CustomerGroups(), feedback=feedback)

    def __add__(self, other: Self) -> Self:
        """The sum over several servers, or over successive ones."""
        names = {*self.feedback, *other.feedback}
        none = FeedbackTotals()
        return type(self)(
            started=max(self.started, other.started),
            requests=self.requests + other.requests,
            errors=self.errors + other.errors,
            latency=self.latency + other.latency,
            predictions=self.predictions + other.predictions,
            feedback={name: self.feedback.get(name, none) + other.feedback.get(name, none) for name in sorted(names)},
            groups=self.groups + other.groups,
        )

    def since(self, earlier: Self) -> Self:
        """The observations after `earlier`; all of them if the server restarted from 0."""
        feedback = {
            name: totals.since(earlier.feedback.get(name, FeedbackTotals())) for name, totals in self.feedback.items()
        }
        if self.started != earlier.started or self.requests < earlier.requests:
            return replace(self, feedback=feedback)
        return type(self)(
            started=self.started,
            requests=self.requests - earlier.requests,
            errors=self.errors - earlier.errors,
            latency=self.latency - earlier.latency,
            predictions=self.predictions - earlier.predictions,
            feedback=feedback,
            groups=self.groups.since(earlier.groups),
        )


def is_error(status: int) -> bool:
    """True for an answer without a prediction that is not the client's fault."""
    return status >= 500 or status == _NO_NUMBER


class Source(Protocol):
    """The source of a rollout's observations."""

    def observed(self, version: str) -> Observations:
        """Totals since the version's server began to count; they never decrease unless `started` changes. Empty for a
        version without answers. Raises ServiceError if no server responds."""
