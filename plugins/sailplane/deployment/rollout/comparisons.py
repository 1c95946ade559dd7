"""The two tests of a rollout: a mean against a limit, and against the champion's.

A check fails by the tests of blocks.py, which are valid for answers that depend on each other. They need 60 s of
answers. One of them may be looked at every second, and has a quarter of the level. The other has the rest and is looked
at once, when the step is about to pass; it detects smaller harm in the same time. Great harm, 30% more than allowed,
needs no blocks: the exact test of sequential.py adds to the evidence for it. A step that ends before there are blocks
waits for them if the exact test would fail it.

At a step with `sticky` a check fails only if the test of customers.py agrees at the same level. The differences between
customers do not change from second to second, so that test is valid at any time.
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

# A version that fails 30% more of its requests than allowed is detected before there are blocks to compare.
_GROSS: Final = 0.3
# The weight of the test for great harm in the evidence.
_PART: Final = 0.25
# The parts of a level for the test at any moment, and for the one at the end of the step.
ANYTIME: Final = 0.25
ONCE: Final = 1 - ANYTIME


@dataclass(frozen=True)
class Seen:
    """The observations of the new version and of the champion at one step.

    :param paired: both versions answered the same requests
    :param over: the time of the step is over
    :param detailed: compute the bounds even if nothing is decided, to show them
    :param least: how many answers a check must see before the step is passed
    :param blocks: the same answers by blocks of time, from `blocks.table`
    :param elapsed: the part of the step's time that has passed, from 0 to 1
    :param index: the index of the check's first quantity in the blocks and the groups
    :param groups: [groups, 4 * quantities]: the counts of the blocks, by groups of customers; None if the versions
        share customers
    :param share: the new version's share of the customers
    :param anonymous: values without a customer went to a version by chance
    :param level: the level that a check may spend at this step
    :param carried: by check, the level that earlier steps have left
    """

    canary: Observations
    champion: Observations
    paired: bool = False
    over: bool = False
    detailed: bool = False
    least: int = 1
    blocks: NDArray[np.float64] = field(default_factory=lambda: blocks.table({}))
    elapsed: float = 1.0
    index: int = 0
    groups: NDArray[np.float64] | None = None
    share: float = 0.5
    anonymous: bool = True
    level: float = 0.05
    carried: Mapping[str, float] = field(default_factory=dict)

    def quantity(self, offset: int = 0) -> NDArray[np.float64]:
        return blocks.counts(self.blocks, self.index + offset)

    def customers(self, evidence: float, sudden: float | None) -> Groups | None:
        """The check's first quantity by groups of customers; None if the versions share customers, or if a test of the
        groups could change nothing."""
        if self.groups is None or not (self.over or self.detailed or evidence > 0 or sudden is not None):
            return None
        return Groups(self.groups[:, 4 * self.index : 4 * self.index + 4], self.share, self.anonymous)

    def level_of(self, check: str) -> float:
        return self.level + self.carried.get(check, 0.0)

    def decided(self, count: float) -> bool:
        """True if the step is over for a check that has seen `count` answers."""
        return self.over and count >= self.least

    def bounds_wanted(self, evidence: float, count: float) -> bool:
        return self.detailed or evidence >= 1 or self.decided(count)

    def shared(self, parts: int, offset: int = 0) -> Seen:
        """The view for one of a check's `parts` findings, whose quantity is at `offset` among those of the check."""
        return replace(self, level=self.level / parts, index=self.index + offset)


def above(
    name: str, sample: Sample, other: Sample, limit: float, seen: Seen, gross: float | None = None
) -> CheckResult:
    """Tests the mean of `sample` against `limit`. A limit that the champion breaks in the same way is not the canary's
    fault, so a failure also needs a mean above the champion's."""
    quantity, against, level = seen.quantity(), other.count > 0, seen.level_of(name)
    tested, compared = Agreed(blocks.above(quantity, limit)), Agreed(blocks.worse(quantity, 0.0))

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


def _if_worse(finding: CheckResult, compared: Agreed, mean: float, seen: Seen) -> CheckResult:
    """The finding of a limit, which also needs the comparison with the champion's `mean`."""
    if compared.customers is not None and finding.p_of_customers is not None:
        finding = replace(finding, p_of_customers=max(finding.p_of_customers, compared.customers.p))
    if finding.turns is None:
        return finding
    bounds = compared.bounds(_spent(seen.level_of(finding.check), seen), once=seen.over)
    return replace(finding, turns=None if bounds is None else max(finding.turns, mean + bounds[2]))


def worse(
    name: str, sample: Sample, other: Sample, tolerance: float, seen: Seen, variance: float | None = None
) -> CheckResult:
    """Tests whether the mean of `sample` is above that of `other` by more than `tolerance`.

    :param variance: the variance of one value; None for values of 0 and 1
    """
    both = bool(sample.count and other.count)
    tested = Agreed(blocks.worse(seen.quantity(), tolerance, variance))

    def exact(tolerance: float) -> float:
        return evidence_worse(sample, other, tolerance, paired=seen.paired)

    gross = other.mean + tolerance + _GROSS
    # The test against `gross` alone would take the champion's mean as known.
    sudden = min(evidence_above(sample, gross), exact(tolerance)) if both and gross < min(1.0, sample.mean) else None
    if both and (groups := seen.customers(tested.evidence, sudden)):
        tested = replace(tested, customers=groups.worse(sample, other, tolerance, variance))
        sudden = None if sudden is None else min(sudden, groups.gross(other, gross, 0.0))
    finding = CheckResult(
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
    return _judged(finding, _both(tested.evidence, sudden), tested, exact, bounds, seen)


def _judged(
    finding: CheckResult,
    log_evidence: float,
    tested: Agreed,
    exact: Callable[[float], float],
    bounds: Callable[[], tuple[float, float]],
    seen: Seen,
) -> CheckResult:
    """The finding with its level and everything that depends on it.

    :param exact: the logarithm of the evidence at a limit, as if requests were independent
    :param bounds: the interval, as if requests were independent
    """
    level = seen.level_of(finding.check)
    evidence = log_evidence / -math.log(ANYTIME * level)
    low, high, turns = _bounds(tested, bounds, level, finding.limit, seen, evidence, finding.count)
    waits = finding.count >= seen.least and hasty(tested.blocks, lambda: exact(finding.limit), level, seen)
    finding = replace(finding, evidence=evidence, level=level, waits=waits, low=low, high=high, turns=turns)
    if by_group := tested.customers:
        finding = replace(finding, groups=by_group.blocks, p_of_customers=by_group.p if by_group.enough else None)
    return replace(finding, blocks=tested.blocks.blocks)


def hasty(tested: blocks.BlockTest, exact: Callable[[], float], level: float, seen: Seen) -> bool:
    """True if the step is over before there are blocks, and there would be enough evidence if requests were
    independent."""
    return seen.over and not tested.enough and exact() >= math.log(1 / level)


def _both(by_blocks: float, sudden: float | None) -> float:
    """The logarithm of the weighted mean of two e-processes, which is one too. Without `sudden` the second counts as
    0."""
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
    """The bounds of the mean, and the mean from which the check fails; without blocks as if requests were independent.
    They are slow to compute, so they are None unless something is decided or details are wanted."""
    if not seen.bounds_wanted(evidence, count):
        return None, None, None
    known = tested.bounds(_spent(level, seen), once=seen.over)
    if known is not None:
        low, high, reach = known
        return low, high, limit + reach
    return (None, None, None) if tested.blocks.enough else (*exact(), None)


def _spent(level: float, seen: Seen) -> float:
    """The part of the level that the deciding test has."""
    return (ONCE if seen.over else ANYTIME) * level
