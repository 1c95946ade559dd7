"""What was seen of a version's answers, as counts that add up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, Self

from sailplane.records import Record

# Seconds. Ten a decade (ISO 3, R10), so that a limit that a person names is one of them.
_DECADE: Final = (1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0)
LATENCY_BOUNDS: Final = (*(float(f"{part}e{power}") for power in range(-4, 1) for part in _DECADE), 10.0)
PREDICTION_BOUNDS: Final = tuple(part / 20 for part in range(1, 20))

# What a model server calls them.
STARTED: Final = "sailplane_started_seconds"
REQUESTS: Final = "sailplane_requests"
LATENCY: Final = "sailplane_request_seconds"
SCORE: Final = "sailplane_score"
REWARD: Final = "sailplane_reward"


@dataclass(frozen=True, kw_only=True)
class Histogram(Record):
    """`counts` of the values up to each of the `bounds` and above the one before; the last one is of those above all.
    Without bounds it is of nothing."""

    bounds: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        return sum(self.counts)

    def above(self, limit: float) -> int:
        """How many values are certainly above the limit: those above the first bound that is not below it."""
        first = next((place for place, bound in enumerate(self.bounds) if bound >= limit), len(self.bounds))
        return sum(self.counts[first + 1 :])

    def up_to(self, place: int) -> int:
        """How many values are at most the bound at that place."""
        return sum(self.counts[: place + 1])

    def quantile(self, share: float) -> float | None:
        """The first bound that at least that share of the values does not exceed; None above all bounds, or of none."""
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
        """Of other bounds, the newer ones count alone: a version's bounds change with its server only."""
        if not other.bounds or (self.bounds and self.bounds != other.bounds):
            return self
        mine = self.counts or (0,) * len(other.counts)
        counts = tuple(one + sign * two for one, two in zip(mine, other.counts, strict=True))
        return type(self)(bounds=other.bounds, counts=counts)


@dataclass(frozen=True, kw_only=True)
class Feedback(Record):
    """The values of one metric that came back: their number, what they and their squares add up to, the least and the
    largest so far. `squares` is 0 where a server of an earlier release counts."""

    count: int = 0
    total: float = 0.0
    low: float = 0.0
    high: float = 0.0
    squares: float = 0.0

    def __add__(self, other: Self) -> Self:
        if not (self.count and other.count):
            return self if self.count else other
        return type(self)(
            count=self.count + other.count,
            total=self.total + other.total,
            low=min(self.low, other.low),
            high=max(self.high, other.high),
            squares=self.squares + other.squares,
        )

    def since(self, earlier: Self) -> Self:
        """What came after `earlier`. It is counted by whichever server it reaches: where there is less than before, one
        of them counts from 0 again, and what the others have was seen already."""
        if self.count < earlier.count:
            return type(self)()
        count, total = self.count - earlier.count, self.total - earlier.total
        squares = max(self.squares - earlier.squares, 0.0)
        return type(self)(count=count, total=total, low=self.low, high=self.high, squares=squares)


@dataclass(frozen=True, kw_only=True)
class Observations(Record):
    """:param started: when the server that counts began, in seconds since 1970: with another one it counts from 0 again
    :param requests: that the version answered, but for those that were wrong themselves (4xx)
    :param errors: those of them to which the answer was no prediction: 5xx, no answer, a score that is no number
    :param latency: seconds that an answer took, of all requests
    :param predictions: scores, of a yes/no target the probability, of several classes the largest one
    :param feedback: by metric: rewards, and late labels against what was predicted, joined by the request's id
    """

    started: float = 0.0
    requests: int = 0
    errors: int = 0
    latency: Histogram = field(default_factory=Histogram)
    predictions: Histogram = field(default_factory=Histogram)
    feedback: Mapping[str, Feedback] = field(default_factory=dict)

    def __add__(self, other: Self) -> Self:
        """Of several servers, or of one after the other."""
        names = {*self.feedback, *other.feedback}
        none = Feedback()
        return type(self)(
            started=max(self.started, other.started),
            requests=self.requests + other.requests,
            errors=self.errors + other.errors,
            latency=self.latency + other.latency,
            predictions=self.predictions + other.predictions,
            feedback={name: self.feedback.get(name, none) + other.feedback.get(name, none) for name in sorted(names)},
        )

    def since(self, earlier: Self) -> Self:
        """What came after `earlier`, of the same totals. All of it where the server counts from 0 again."""
        feedback = {name: one.since(earlier.feedback.get(name, Feedback())) for name, one in self.feedback.items()}
        if self.started != earlier.started or self.requests < earlier.requests:
            return replace(self, feedback=feedback)
        return type(self)(
            started=self.started,
            requests=self.requests - earlier.requests,
            errors=self.errors - earlier.errors,
            latency=self.latency - earlier.latency,
            predictions=self.predictions - earlier.predictions,
            feedback=feedback,
        )


class Source(Protocol):
    """Where a rollout reads what its versions do."""

    def observed(self, version: str) -> Observations:
        """Totals since the version's server began to count, none of them less than before unless `started` changed.
        Empty for a version that answered nothing yet. Raises ServiceError where nobody answers."""
