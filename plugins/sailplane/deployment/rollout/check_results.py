"""The findings of a rollout's checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sailplane.records import Record

Outcome = Literal["passed", "failed", "undecided"]


@dataclass(frozen=True, kw_only=True)
class CheckResult(Record):
    """The state of a check.

    :param check: the name of the check
    :param count: how many values of the new version the check has seen
    :param estimate: the limited quantity: a share, or the difference from the champion
    :param limit: the largest allowed estimate
    :param low: the lower bound of the estimate, with the confidence of the check; None until something is decided,
        because bounds are slow to compute
    :param high: the upper bound
    :param champion: the champion's share or mean, if there is a comparison
    :param evidence: the progress to a failure, which is at 1; below 0 it favours the version
    :param p: the p-value at the end of the step, where the check also fails if this is at most 0.75 of the level
    :param outcome: `undecided` during the step; then `passed` if `count` is enough and the check has not failed
    :param reason: why there is no estimate, or why its values do not count
    :param rule: in words, when the check fails
    :param level: the probability of a mistake that this check may spend at this step
    :param blocks: how many blocks of time were compared; None if an older release decided
    :param groups: how many groups of customers were compared; None if the versions share customers
    :param p_of_customers: the p-value of that comparison, which must be low for a failure too; None with too few groups
    :param waits: the step is too short for blocks, and the check would fail if the requests were independent
    :param turns: roughly the estimate at which the outcome changes, for answers that vary like these
    """

    check: str
    count: int
    estimate: float | None
    limit: float
    low: float | None = None
    high: float | None = None
    champion: float | None = None
    evidence: float = 0.0
    p: float = 1.0
    outcome: Outcome = "undecided"
    reason: str = ""
    rule: str = ""
    level: float | None = None
    blocks: int | None = None
    groups: int | None = None
    p_of_customers: float | None = None
    waits: bool = False
    turns: float | None = None

    @property
    def failed(self) -> bool:
        return self.outcome == "failed"

    def __str__(self) -> str:
        """For example `error rate against the champion: 0.0412 (0.0223 to 0.0633) of 480, expected at most 0.01`."""
        if self.reason or self.estimate is None:
            return f"{self.check}: {self.reason or 'nothing seen'}, expected at most {self.limit:g}"
        bounds = [f"{bound:.4f}" for bound in (self.low, self.high) if bound is not None]
        between = f" ({' to '.join(bounds)})" if bounds else ""
        return f"{self.check}: {self.estimate:.4f}{between} of {self.count}, expected at most {self.limit:g}"

    def explained(self) -> str:
        """For example `fails if ...; 41 blocks of time, level 0.0031; would fail from about 0.0192 ...`."""
        if self.level is None:
            return ""
        if self.waits:
            reason = "the step is too short to tell a short disturbance from a worse version"
            return f"{self.rule}; {self.blocks or 0} blocks of time: {reason}"
        change = "would pass below" if self.failed else "would fail from"
        turns = "" if self.turns is None else f"; {change} about {self.turns:.4f} with answers that vary like these"
        return f"{self.rule}; {self.blocks or 0} blocks of time{self._customers()}, level {self.level:.2g}{turns}"

    def _customers(self) -> str:
        if self.groups is None:
            return ""
        if self.p_of_customers is None:
            return f" but too few groups of customers ({self.groups}) to tell customers from versions"
        return f" and {self.groups} groups of customers with p = {self.p_of_customers:.2g}, which must both fail"
