"""A target and source in memory for the versions of one model."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime

import sqlalchemy as sa

from sailplane.deployment.rollout.run import ModelEndpoint
from sailplane.deployment.target import TrafficSplit, VersionProgress
from sailplane.errors import DeploymentError, ModelError, ServiceError
from sailplane.ledger import Ledger, tables
from sailplane.records import Model
from sailplane.registry.models import promote
from sailplane.serving.observations import Observations

NAME = "m"
CHAMPION, CANARY = "v1", "v2"


def ignore(_what: str) -> None:
    return None


@dataclass
class Place:
    """Both a Target and a Source. `before` and `after` are called around each verb, with its name."""

    weights: dict[str, int] = field(default_factory=lambda: {CHAMPION: 100})
    shadow: str | None = None
    running: dict[str, VersionProgress] = field(default_factory=lambda: {CHAMPION: VersionProgress("ready")})
    ready_after: int = 2
    totals: dict[str, Observations] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    splits: list[TrafficSplit] = field(default_factory=list)
    before: Callable[[str], None] = ignore
    after: Callable[[str], None] = ignore
    starting: int = 0
    unread: set[str] = field(default_factory=set)
    damaged: set[str] = field(default_factory=set)

    def prepare(self, model: Model) -> None:
        if model.version in self.damaged:
            raise ModelError("fetch bundle", model.uri, got="it is damaged")

    def begin(self, model: Model) -> None:
        self.before("begin")
        self.prepare(model)
        if model.version not in self.running:
            self.running[model.version] = VersionProgress("starting", "it loads")
            self.starting = self.ready_after
        self.done.append(f"begin {model.version}")
        self.after("begin")

    def progress(self, version: str) -> VersionProgress:
        self.before("progress")
        progress = self.running.get(version, VersionProgress("failed", "it was never started"))
        if progress.state == "starting" and self.starting:
            self.starting -= 1
            if not self.starting:
                self.running[version] = VersionProgress("ready")
        self.after("progress")
        return progress

    def versions(self) -> list[str]:
        return list(self.running)

    def split(self) -> TrafficSplit:
        self.before("split")
        return TrafficSplit(dict(self.weights), self.shadow)

    def move(self, split: TrafficSplit) -> None:
        self.before("move")
        for version in [*split.weights, *([split.shadow] if split.shadow else [])]:
            if version not in self.running:
                raise DeploymentError("move", version, got="it does not run")
        self.weights, self.shadow = dict(split.weights), split.shadow
        self.splits.append(split)
        self.done.append(f"move {100 - split.weights.get(CHAMPION, 0)}")
        self.after("move")

    def stop(self, version: str) -> None:
        self.before("stop")
        assert not self.weights.get(version), f"{version} still has traffic"
        self.running.pop(version, None)
        self.done.append(f"stop {version}")
        self.after("stop")

    def observed(self, version: str) -> Observations:
        self.before("observed")
        if version in self.unread:
            raise ServiceError("read the metrics of", version, got="nobody answers")
        return self.totals.get(version, Observations())

    def serve(self, requests: int, *, failing: float = 0.0, well: Collection[str] = (CHAMPION,)) -> None:
        """Sends this many requests to all versions together. All versions except those in `well` fail this share of
        their own."""
        for version, weight in {**self.weights, **({self.shadow: 100} if self.shadow else {})}.items():
            mine = round(requests * weight / 100)
            errors = round(mine * failing) if version not in well else 0
            known = self.totals.get(version, Observations())
            self.totals[version] = known + Observations(requests=mine, errors=errors)


def register(ledger: Ledger, *versions: str, champion: str | None = CHAMPION, name: str = NAME) -> None:
    for version in versions:
        model = Model(
            name=name,
            version=version,
            uri=f"file:///{version}",
            digest=version,
            run=version,
            dataset="d",
            as_of=datetime(2026, 11, 21, tzinfo=UTC),
        )
        row = {"name": name, "version": version, "record": model.to_dict(), "created": 0.0}
        with ledger.begin() as connection:
            connection.execute(sa.insert(tables.models).values(row))
    if champion:
        promote(ledger, name, champion)


@dataclass
class Clock:
    """The time, in seconds since 1970. It advances by `step` with each call."""

    now: float = 1_000_000.0
    step: float = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def serving_at(place: Place, ledger: Ledger, clock: Clock, name: str = NAME) -> ModelEndpoint:
    return ModelEndpoint(ledger, place, place, name=name, endpoint="http://x", clock=clock, sleep=clock.sleep)
