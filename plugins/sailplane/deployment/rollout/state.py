"""Where a rollout is. All that is needed to go on is in it, and on the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, Self

from sailplane.deployment.kubernetes.location import ClusterLocation
from sailplane.deployment.rollout.plan import Rollout
from sailplane.deployment.target import TrafficSplit
from sailplane.records import SPARSE, Deployment, Record
from sailplane.serving.observations import Observations

Phase = Literal["starting", "shadowing", "baking", "promoting", "rolling back", "succeeded", "failed"]
ENDED: Final = ("succeeded", "failed")
# In which nothing but the end is left to come.
CLOSING: Final = ("promoting", "rolling back", *ENDED)
WATCHED: Final = ("shadowing", "baking")


@dataclass(frozen=True, kw_only=True)
class Counted(Record):
    """What a version did in this phase. `last`: the totals that were read last, None before the first reading."""

    seen: Observations = field(default_factory=Observations)
    last: Observations | None = None

    def read(self, totals: Observations) -> Self:
        """The first reading is what the phase begins with."""
        new = self.seen if self.last is None else self.seen + totals.since(self.last)
        return replace(self, seen=new, last=totals)


@dataclass(frozen=True, kw_only=True)
class State(Record):
    """:param step: which of the plan's steps is baking, from 0
    :param applied: what the phase begins with was done; before that it may have been done
    :param watched: seconds of this phase in which somebody looked, and the version was ready
    :param missed: seconds without a break in which it was not ready
    :param looked: when that was last, in seconds since 1970
    :param blocks: what both versions did in this phase, by blocks of time (blocks.py); empty where an older release
        began the phase
    :param carried: by check, the level that the steps before left of theirs (checks.py)
    :param reason: why it is rolled back
    """

    phase: Phase = "starting"
    step: int = 0
    applied: bool = False
    watched: float = 0.0
    missed: float = 0.0
    looked: float | None = None
    canary: Counted = field(default_factory=Counted)
    champion: Counted = field(default_factory=Counted)
    blocks: Mapping[str, Any] = field(default_factory=dict)
    carried: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""

    @property
    def ended(self) -> bool:
        return self.phase in ENDED

    @property
    def stage(self) -> str:
        """As `baking 2`."""
        return f"{self.phase} {self.step}" if self.phase == "baking" else self.phase

    def entering(self, phase: Phase, step: int = 0, reason: str = "") -> State:
        """Anew: nothing is counted yet."""
        return State(phase=phase, step=step, looked=self.looked, carried=self.carried, reason=reason or self.reason)


@dataclass(frozen=True, kw_only=True)
class Subject(Record):
    """What is rolled out. `champion`: the version that has the traffic when it begins, None where nothing serves;
    `owner`: who began it, a task of a DAG's run or a person, and `turn`: which time, for what is the same in a retry
    and another one where the task was cleared; `place`: where on a cluster, None on this machine. `back`: a person goes
    back to this version, and with `hold` nothing else is deployed after it until that is released. `at_once`: only the
    process that began it drives it; once that process has ended, the next deployment takes it back."""

    name: str
    version: str
    champion: str | None
    endpoint: str
    owner: str
    turn: str = ""
    place: ClusterLocation | None = None
    back: bool = field(default=False, metadata=SPARSE)
    hold: bool = field(default=False, metadata=SPARSE)
    at_once: bool = field(default=False, metadata=SPARSE)

    def deployment(self, version: str, weights: Mapping[str, int]) -> Deployment:
        """What is served while these versions have the traffic."""
        return Deployment(name=self.name, version=version, weights=dict(weights), endpoint=self.endpoint)

    def begun_by(self, owner: str, turn: str) -> bool:
        return (self.owner, self.turn) == (owner, turn)


def split(plan: Rollout, subject: Subject, state: State) -> TrafficSplit | None:
    """The traffic of the state; None where the state changes none."""
    if state.phase in ("promoting", "succeeded"):
        return TrafficSplit({subject.version: 100})
    if state.phase == "starting":
        return None
    if subject.champion is None:
        return TrafficSplit({})
    if state.phase == "baking":
        percent = plan.steps[state.step]
        return TrafficSplit({subject.champion: 100 - percent, subject.version: percent}, sticky=plan.sticky)
    return TrafficSplit({subject.champion: 100}, shadow=subject.version if state.phase == "shadowing" else None)
