"""The state of a rollout, which the ledger stores. It is all that a driver needs to continue."""

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
# Phases in which the outcome is decided.
CLOSING: Final = ("promoting", "rolling back", *ENDED)
WATCHED: Final = ("shadowing", "baking")


@dataclass(frozen=True, kw_only=True)
class Counted(Record):
    """The counts of a version in this phase. `last`: the newest totals, None before the first reading."""

    seen: Observations = field(default_factory=Observations)
    last: Observations | None = None

    def read(self, totals: Observations) -> Self:
        """Adds what was counted since the last reading. The first reading adds nothing."""
        new = self.seen if self.last is None else self.seen + totals.since(self.last)
        return replace(self, seen=new, last=totals)


@dataclass(frozen=True, kw_only=True)
class State(Record):
    """The state of a rollout.

    :param step: index of the plan's step that is baking, from 0
    :param applied: True if all actions of the phase are done; False if some may not be
    :param watched: seconds of this phase in which a driver looked and the version was ready
    :param missed: seconds in a row in which the version was not ready
    :param looked: time of the last look, in seconds since 1970
    :param blocks: the counts of both versions in this phase, by blocks of time (blocks.py); empty if an older release
        began the phase
    :param carried: by check, the level that earlier steps have left (checks.py)
    :param reason: why the version is rolled back
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
        """The phase, with the step while baking: `baking 2`."""
        return f"{self.phase} {self.step}" if self.phase == "baking" else self.phase

    def entering(self, phase: Phase, step: int = 0, reason: str = "") -> State:
        """The state at the beginning of a phase, with nothing counted yet."""
        return State(phase=phase, step=step, looked=self.looked, carried=self.carried, reason=reason or self.reason)


@dataclass(frozen=True, kw_only=True)
class Subject(Record):
    """The version that is rolled out, and its owner.

    :param champion: the version with the most traffic at the beginning; None if nothing serves
    :param owner: the person, or the task of a DAG run, that started the rollout
    :param turn: identifies the owner's try: a retry keeps it, a clear changes it
    :param place: the location on a cluster; None for this machine
    :param back: a person returns to this version
    :param hold: afterwards no task deploys the model until a person releases it
    :param at_once: only the process that started the rollout drives it; after that process has ended, the next
        deployment ends it
    """

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
        """The deployment while these versions have the traffic."""
        return Deployment(name=self.name, version=version, weights=dict(weights), endpoint=self.endpoint)

    def started_by(self, owner: str, turn: str) -> bool:
        return (self.owner, self.turn) == (owner, turn)


def split(plan: Rollout, subject: Subject, state: State) -> TrafficSplit | None:
    """The traffic of the state; None if the state changes no traffic."""
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
