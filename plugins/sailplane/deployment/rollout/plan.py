"""How a DAG declares the rollout of a new version."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Final, Literal, get_args

from sailplane.deployment.rollout import check_specs
from sailplane.deployment.rollout.check_specs import Check, ErrorRate, check_number, refused
from sailplane.durations import seconds

# Characters that JSON writes without an escape.
_FIELD: Final = re.compile(r"[ !#-\[\]-~]+")
OnFailure = Literal["rollback"]
TooFew = Literal["fail", "pass"]


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """Gives a version its traffic in steps, each with checks against the champion.

    During the `bake` time of a step, the checks compare the answers of both versions once a second. The first check
    that fails ends the rollout, and the champion has all the traffic again. A step is passed when its time is over,
    each check has seen `min_requests` answers of the new version, and none has found it worse than allowed. That does
    not prove that the version is as good: with few requests only great harm is detected, and the recorded interval says
    how much harm is possible. All checks of all steps share the level 1 - `confidence`, which is about the probability
    that a version that is not worse than allowed is rolled back by mistake. tests/soak/ measures it; blocks.py and
    customers.py state the assumptions.

    :param shadow: how long the version gets a copy of each request before the first step, without its answers reaching
        a client; None for no shadow
    :param steps: percents of the traffic, rising to 100. The last step is the promotion, which has nothing to compare
        with
    :param bake: the least time of each step before the last
    :param checks: the checks of each step; without any, only the server's readiness counts
    :param on_failure: the reaction to a failed check: `"rollback"`
    :param confidence: how sure a failure must be, from 0.5 to 0.9999
    :param min_requests: how many answers of the new version each check must have seen before a step is passed
    :param extend: how much longer than `bake` a step may take if there are too few requests
    :param too_few: the reaction if there are still too few: `"fail"` or `"pass"`
    :param start: how long the version may take until it is ready
    :param sticky: a field of the request by which clients stay with their version while the weights are the same, and
        with the new version as its weight grows: a field of `meta.tags` (Seldon) or `parameters` (v2), or else of the
        first row. Bodies that are longer than 64 KB, compressed or chunked are not read; the header `x-sailplane-key`
        takes precedence
    :raises ConfigurationError: for a value outside its range

    Example::

        Rollout(shadow="5m", steps=[1, 10, 50, 100], checks=[ErrorRate(worse_by=0.005), Latency(p99="50ms")])
    """

    shadow: str | None = None
    steps: Sequence[int] = (1, 10, 50, 100)
    bake: str = "5m"
    checks: Sequence[Check] = (ErrorRate(),)
    on_failure: OnFailure = "rollback"
    confidence: float = 0.95
    min_requests: int = 100
    extend: str = "30m"
    too_few: TooFew = "fail"
    start: str = "10m"
    sticky: str | None = None

    def __post_init__(self) -> None:
        self._check_steps()
        if isinstance(self.checks, str) or not isinstance(self.checks, Sequence):
            raise refused("checks", repr(self.checks), "a list")
        for check in self.checks:
            if not isinstance(check, Check):
                raise refused("checks", repr(check), f"each one of {', '.join(check_specs.CHECKS)}")
        for name in ("bake", "extend", "start", *(["shadow"] if self.shadow is not None else [])):
            seconds(getattr(self, name), of=f"the rollout's {name}")
        for name, allowed in (("on_failure", OnFailure), ("too_few", TooFew)):
            if getattr(self, name) not in get_args(allowed):
                raise refused(name, repr(getattr(self, name)), " or ".join(f'"{value}"' for value in get_args(allowed)))
        check_number("confidence", self.confidence, low=0.5, high=0.9999)
        if not isinstance(self.min_requests, int) or isinstance(self.min_requests, bool) or self.min_requests < 1:
            raise refused("min_requests", repr(self.min_requests), "a whole number of 1 or more")
        if self.sticky is not None and not (isinstance(self.sticky, str) and _FIELD.fullmatch(self.sticky)):
            raise refused("sticky", repr(self.sticky), "the name of a field, in ASCII")
        # Lists from a DAG become tuples, so that a plan equals itself after it is stored and read.
        object.__setattr__(self, "steps", tuple(self.steps))
        object.__setattr__(self, "checks", tuple(self.checks))

    def _check_steps(self) -> None:
        steps = self.steps
        whole = isinstance(steps, Sequence) and all(type(step) is int and 0 < step <= 100 for step in steps)
        if not whole or not steps:
            raise refused("steps", repr(steps), "whole percents from 1 to 100, like [1, 10, 50, 100]")
        if any(step >= after for step, after in pairwise(steps)):
            raise refused("steps", repr(steps), "each step above the one before")
        if steps[-1] != 100:
            raise refused("steps", repr(steps), "100 as the last one")

    @property
    def bake_seconds(self) -> float:
        return seconds(self.bake, of="bake")

    @property
    def shadow_seconds(self) -> float:
        return 0.0 if self.shadow is None else seconds(self.shadow, of="shadow")

    @property
    def extend_seconds(self) -> float:
        return seconds(self.extend, of="extend")

    @property
    def start_seconds(self) -> float:
        return seconds(self.start, of="start")

    @property
    def level(self) -> float:
        """The level of one check at one step, besides what earlier steps have left of theirs (checks.py)."""
        stages = len(self.steps) - 1 + (self.shadow is not None)
        return (1 - self.confidence) / max(1, stages * len(self.checks))

    @property
    def longest_seconds(self) -> float:
        """The longest time that the rollout can take while a driver watches it."""
        stages = [self.bake_seconds] * (len(self.steps) - 1) + ([self.shadow_seconds] if self.shadow else [])
        return self.start_seconds + sum(stages) + self.extend_seconds * len(stages)

    def to_dict(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "steps": list(self.steps),
            "checks": [check_specs.to_dict(check) for check in self.checks],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Rollout:
        return cls(**{**values, "checks": [check_specs.from_dict(check) for check in values["checks"]]})
