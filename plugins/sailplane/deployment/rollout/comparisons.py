"""The two tests of a rollout: a mean against a limit, and against the champion's.

A check fails by the tests of blocks.py, which answers that depend on each other do not mislead. They need 60 s of
answers. One may be looked at every second, and has a quarter of the level; the other one is looked at once, when the
step is about to be passed, and finds less harm in the same time: it has the rest. Great harm, 30% more than
allowed, needs no blocks: the exact test of sequential.py is a part of the evidence for it. A step that ends before
there are blocks, and that would fail by the exact test, waits for them.

At a step with `sticky` a check fails only if the test of customers.py, at the same level, says so too. What customers
differ by does not change from second to second, so that test may be looked at at any time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from sailplane.deployment.rollout import blocks
from sailplane.deployment.rollout.check_results import CheckResult
from sailplane.deployment.rollout.customers import Agreed, Groups
from sailplane.deployment.rollout.sequential import Sample, difference, evidence_above, evidence_worse, interval
from sailplane.serving.observations import Observations

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A version that fails 30% more of its requests than allowed is found before there are blocks to compare.
_GROSS: Final = 0.3
# The part of the evidence that is for great harm.
_PART: Final = 0.25
# The parts of a level for the test at any moment, and for the one at the end of the step.
ANYTIME: Final = 0.25
ONCE: Final = 1 - ANYTIME


@dataclass(frozen=True)
class Seen:
    """At one step, of the new version and of the champion.

    :param paired: both answered the same requests
    :param over: it is time to decide
    :param told: somebody asks how it stands
    :param least: how many answers a check must see before the step is passed
    :param blocks: of the same answers, as `blocks.table` gives them
    :param elapsed: the part of the step's time
    :param place: of the check's first quantity in the blocks and the groups
    :param groups: [groups, 4 * quantities]: the same counts as those of the blocks, by groups of customers; None where
        versions share customers
    :param share: of the customers that the new version has
    :param anonymous: values that name no customer went to a version by chance
    :param level: what a check may spend at this step
    :param carried: by finding, what earlier steps left of their level
    """

    canary: Observations
    champion: Observations
    paired: bool = False
    over: bool = False
    told: bool = False
    least: int = 1
    blocks: NDArray[np.float64] = field(default_factory=lambda: blocks.table({}))
    elapsed: float = 1.0
    place: int = 0
    groups: NDArray[np.float64] | None = None
    share: float = 0.5
    anonymous: bool = True
    level: float = 0.05
    carried: Mapping[str, float] = field(default_factory=dict)

    def quantity(self, place: int = 0) -> NDArray[np.float64]:
        return blocks.counts(self.blocks, self.place + place)

    def customers(self, evidence: float, sudden: float | None) -> Groups | None:
        """The check's first quantity by groups of customers, if versions have different ones, and a test by them may
        change anything."""
        if self.groups is None or not (self.over or self.told or evidence > 0 or sudden is not None):
            return None
        return Groups(self.groups[:, 4 * self.place : 4 * self.place + 4], self.share, self.anonymous)

    def level_of(self, check: str) -> float:
        return self.level + self.carried.get(check, 0.0)

    def decided(self, count: float) -> bool:
        """True if the step is over for a check that saw so many answers."""
        return self.over and count >= self.least

    def bounds_wanted(self, evidence: float, count: float) -> bool:
        return self.told or evidence >= 1 or self.decided(count)

    def shared(self, parts: int, place: int = 0) -> Seen:
        """The view of one of `parts` findings of a check: that of the quantity at `place`."""
        return replace(self, level=self.level / parts, place=self.place + place)


def above(
    name: str, sample: Sample, other: Sample, limit: float, seen: Seen, gross: float | None = None
) -> CheckResult:
    """A limit that the champion breaks in the same way is not the canary's fault: both must be so."""
    found, against, level = seen.quantity(), other.count > 0, seen.level_of(name)
    tested, compared = Agreed(blocks.above(found, limit)), Agreed(blocks.worse(found, 0.0))

    def exact(limit: float) -> float:
        alone = evidence_above(sample, limit)
        return min(alone, evidence_worse(sample, other, 0.0, paired=seen.paired)) if against else alone

    gross = limit + _GROSS if gross is None else gross
    sudden = exact(gross) if gross < min(1.0, sample.mean) else None
    if sample.count and (groups := seen.customers(tested.evidence, sudden)):
        tested = replace(tested, customers=groups.above(sample, other, limit))
        compared = replace(compared, customers=groups.worse(sample, other, 0.0))
        sudden = None if sudden is None else min(sudden, groups.gross(other, gross, limit))
    compared = compared if against else tested
    alone = CheckResult(
        check=name,
        count=int(sample.count),
        estimate=sample.mean if sample.count else None,
        limit=float(limit),
        champion=other.mean if against else None,
        p=max(tested.p, compared.p),
        rule="fails above the limit, if the champion is better in the same time",
    )
    evidence = _both(min(tested.evidence, compared.evidence), sudden) if sample.count else 0.0
    judged = _judged(alone, evidence, tested, exact, lambda: interval(sample, level), seen)
    return _if_worse(judged, compared, other.mean, seen) if against else judged


def _if_worse(found: CheckResult, compared: Agreed, mean: float, seen: Seen) -> CheckResult:
    """The finding of a limit, which also needs the comparison with the champion's `mean`."""
    if compared.customers is not None and found.p_of_customers is not None:
        found = replace(found, p_of_customers=max(found.p_of_customers, compared.customers.p))
    if found.turns is None:
        return found
    bounds = compared.bounds(_spent(seen.level_of(found.check), seen), once=seen.over)
    return replace(found, turns=None if bounds is None else max(found.turns, mean + bounds[2]))


def worse(
    name: str, sample: Sample, other: Sample, tolerance: float, seen: Seen, variance: float | None = None
) -> CheckResult:
    """`variance`: of one value, if it is known and they are not all 0 or 1."""
    both = bool(sample.count and other.count)
    tested = Agreed(blocks.worse(seen.quantity(), tolerance, variance))

    def exact(tolerance: float) -> float:
        return evidence_worse(sample, other, tolerance, paired=seen.paired)

    gross = other.mean + tolerance + _GROSS
    # The test against `gross` alone would take the champion's mean for known.
    sudden = min(evidence_above(sample, gross), exact(tolerance)) if both and gross < min(1.0, sample.mean) else None
    if both and (groups := seen.customers(tested.evidence, sudden)):
        tested = replace(tested, customers=groups.worse(sample, other, tolerance, variance))
        sudden = None if sudden is None else min(sudden, groups.gross(other, gross, 0.0))
    found = CheckResult(
        check=name,
        # Without a champion's answers there is nothing to compare with.
        count=int(sample.count) if both else 0,
        estimate=sample.mean - other.mean if both else None,
        limit=float(tolerance),
        champion=other.mean if other.count else None,
        p=tested.p,
        rule="fails if it is worse than the champion, in the same time, by more than the limit",
    )
    bounds = partial(difference, sample, other, seen.level_of(name), paired=seen.paired)
    return _judged(found, _both(tested.evidence, sudden), tested, exact, bounds, seen)


def _judged(
    found: CheckResult,
    log_evidence: float,
    tested: Agreed,
    exact: Callable[[float], float],
    bounds: Callable[[], tuple[float, float]],
    seen: Seen,
) -> CheckResult:
    """The finding with its level, and what depends on that.

    :param exact: the logarithm of the evidence at a limit, if requests were independent
    :param bounds: the interval, if requests were independent
    """
    level = seen.level_of(found.check)
    evidence = log_evidence / -math.log(ANYTIME * level)
    low, high, turns = _bounds(tested, bounds, level, found.limit, seen, evidence, found.count)
    waits = found.count >= seen.least and hasty(tested.blocks, lambda: exact(found.limit), level, seen)
    found = replace(found, evidence=evidence, level=level, waits=waits, low=low, high=high, turns=turns)
    if by_group := tested.customers:
        found = replace(found, groups=by_group.blocks, p_of_customers=by_group.p if by_group.enough else None)
    return replace(found, blocks=tested.blocks.blocks)


def hasty(tested: blocks.BlockTest, exact: Callable[[], float], level: float, seen: Seen) -> bool:
    """True if the step is over before there are blocks, and independent requests would be evidence enough."""
    return seen.over and not tested.enough and exact() >= math.log(1 / level)


def _both(by_blocks: float, sudden: float | None) -> float:
    """The weighted mean of two e-processes is one; what is not `sudden` is taken for no evidence of it."""
    slow = by_blocks + math.log(1 - _PART)
    return slow if sudden is None else float(np.logaddexp(slow, sudden + math.log(_PART)))


def _bounds(
    tested: Agreed,
    exact: Callable[[], tuple[float, float]],
    level: float,
    limit: float,
    seen: Seen,
    evidence: float,
    count: float,
) -> tuple[float | None, float | None, float | None]:
    """The bounds of the mean, and the mean from which on it fails; without blocks as if requests were independent.
    They are slow to compute, so they are None unless something is decided or somebody asks."""
    if not seen.bounds_wanted(evidence, count):
        return None, None, None
    found = tested.bounds(_spent(level, seen), once=seen.over)
    if found is not None:
        low, high, reach = found
        return low, high, limit + reach
    return (None, None, None) if tested.blocks.enough else (*exact(), None)


def _spent(level: float, seen: Seen) -> float:
    """The part of the level that the test has which decides now."""
    return (ONCE if seen.over else ANYTIME) * level
