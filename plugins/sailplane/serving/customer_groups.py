"""Counts by groups of customers: a rollout with `sticky` asks whether versions or their customers differ.

The header that Envoy routes by names the customer. Another hash than Envoy's puts customers into groups, so that each
version's customers are spread over all groups.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import add, sub
from typing import Final, Self, TypeVar

from sailplane.records import Record

# Requests with the same value go to the same version as long as the weights are the same, and as a weight grows, those
# that it has stay with it.
KEY: Final = "x-sailplane-key"
GROUPS: Final = 64
_SALT: Final = b"customer groups"

Number = TypeVar("Number", int, float)


def group_of(key: bytes) -> int:
    """The customer's group. It does not depend on the hash by which Envoy routes."""
    return hashlib.blake2b(key, digest_size=1, salt=_SALT).digest()[0] % GROUPS


@dataclass(frozen=True, kw_only=True)
class CustomerGroups(Record):
    """The counts of `Observations`, by group of customers: tuples of `GROUPS` counts, empty if there are none.

    :param answers: by the upper bound of the seconds that they took, as Prometheus writes it
    """

    requests: tuple[int, ...] = ()
    errors: tuple[int, ...] = ()
    answers: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def __add__(self, other: Self) -> Self:
        bounds = sorted({*self.answers, *other.answers})
        return type(self)(
            requests=added(self.requests, other.requests),
            errors=added(self.errors, other.errors),
            answers={bound: added(self.answers.get(bound, ()), other.answers.get(bound, ())) for bound in bounds},
        )

    def since(self, earlier: Self) -> Self:
        """The counts after `earlier`."""
        return type(self)(
            requests=risen(self.requests, earlier.requests),
            errors=risen(self.errors, earlier.errors),
            answers={bound: risen(counts, earlier.answers.get(bound, ())) for bound, counts in self.answers.items()},
        )


def added(first: tuple[Number, ...], second: tuple[Number, ...]) -> tuple[Number, ...]:
    """The sums by group."""
    if not (first and second):
        return first or second
    return tuple(map(add, first, second))


def risen(now: tuple[Number, ...], earlier: tuple[Number, ...]) -> tuple[Number, ...]:
    """The differences by group. A group whose count fell has nothing new: its server restarted."""
    if not earlier:
        return now
    rises = tuple(map(sub, now, earlier))
    return rises if min(rises) >= 0 else tuple(max(rise, type(rise)(0)) for rise in rises)
