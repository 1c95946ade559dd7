"""A rollout from its beginning to its end, or back from the middle of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, replace
from datetime import UTC, datetime
from typing import Final

from sailplane.deployment.kubernetes.location import ClusterLocation
from sailplane.deployment.rollout import records, repository
from sailplane.deployment.rollout.drive import Driver, Served
from sailplane.deployment.rollout.plan import Rollout
from sailplane.deployment.rollout.records import RolloutRecord
from sailplane.deployment.rollout.state import State, Subject
from sailplane.errors import DeploymentError, LeaseError
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Approval, Model
from sailplane.storage import Storage

POLL_SECONDS: Final = 1.0
# A person's word needs no proof, and nobody waits for requests.
AT_ONCE: Final = Rollout(steps=(100,), checks=())


@dataclass(frozen=True)
class ModelEndpoint(Served):
    """A model that is served here, or at a `place` on a cluster, with its rollouts."""

    _: KW_ONLY
    endpoint: str
    place: ClusterLocation | None = None
    sleep: Callable[[float], None] = time.sleep

    @classmethod
    def local(cls, home: Home, ledger: Ledger, storage: Storage, name: str) -> ModelEndpoint:
        from sailplane.deployment.local.endpoint import endpoint
        from sailplane.deployment.local.source import LocalSource
        from sailplane.deployment.local.target import LocalTarget

        target, source = LocalTarget(home, storage, name), LocalSource(home, name)
        return cls(ledger, target, source, name=name, endpoint=endpoint(home, name))

    def driver(self, version: str) -> Driver:
        return Driver(self, version)

    def begin(
        self, plan: Rollout, model: Model, owner: str, turn: str = "", *, approval: Approval | None = None
    ) -> RolloutRecord:
        """The version's rollout, with its server on the way; where it is, if that owner began it in that turn.

        An earlier turn that has not ended is taken back first, and so is what is on its way back. Raises
        DeploymentError while another one is on its way, or one elsewhere; ModelError for a bundle that is damaged or
        does not load; HeldError while a rollback holds the model. No rollout has begun then.
        """
        self._make_way(owner, turn)
        # A rollout of a version that cannot be served would be in the way of all others.
        self.target.prepare(model)
        return self._begin(self._subject(model, owner, turn), plan, approval)

    def begin_back(self, model: Model, by: str, *, hold: bool) -> RolloutRecord:
        """A person goes back to the version at once, as `begin` does."""
        # The same person may go back to the same version again: each time is a turn of its own.
        turn = datetime.now(UTC).isoformat()
        self._make_way(by, turn)
        self.target.prepare(model)
        subject = replace(self._subject(model, by, turn), back=True, hold=hold)
        return self._begin(subject, AT_ONCE, None)

    def _subject(self, model: Model, owner: str, turn: str) -> Subject:
        return Subject(
            name=self.name,
            version=model.version,
            champion=self.champion(),
            endpoint=self.endpoint,
            owner=owner,
            turn=turn,
            place=self.place,
        )

    def _begin(self, subject: Subject, plan: Rollout, approval: Approval | None) -> RolloutRecord:
        repository.begin(self.ledger, subject, plan, self.clock(), approval)
        driver = self.driver(subject.version)
        try:
            driver.tick()
        finally:
            driver.release()
        return self.entry(subject.version)

    def _make_way(self, owner: str, turn: str) -> None:
        other = records.active(self.ledger, self.name)
        self._refuse_elsewhere(other)
        if other is not None and other.subject.owner == owner and other.subject.turn != turn:
            repository.abort(self.ledger, self.name, "it was begun anew", owner, self.clock(), only=other.subject)
        if (other := records.active(self.ledger, self.name)) is not None and other.state.phase == "rolling back":
            self.finish(other.subject.version)

    def _refuse_elsewhere(self, other: RolloutRecord | None) -> None:
        if other is not None and str(other.subject.place) != str(self.place):
            where = f"at {other.subject.place}" if other.subject.place else "on this machine"
            got = f"{other.subject.version} is on its way {where}"
            remedy = f"Wait for it, or end it: `sailplane rollback {self.name}`."
            raise DeploymentError("roll out", self.name, got=got, remedy=remedy)

    def entry(self, version: str) -> RolloutRecord:
        found = records.find(self.ledger, self.name, version)
        if found is None:
            raise DeploymentError("find the rollout of", f"{self.name} {version}", got="there is none")
        return found

    def champion(self) -> str | None:
        """The version that has the most traffic now."""
        weights = self.target.split().weights
        return max(sorted(weights), key=lambda version: weights[version], default=None)

    def finish(self, version: str, *, poll_seconds: float = POLL_SECONDS) -> State:
        """Goes on with it to its end, whoever began it, as soon as nobody else does."""
        driver = self.driver(version)
        try:
            while True:
                state = self._looked(driver)
                if state is not None and state.ended:
                    return state
                self.sleep(poll_seconds)
        finally:
            driver.release()

    def _looked(self, driver: Driver) -> State | None:
        while True:
            try:
                return driver.tick()
            except LeaseError:
                continue
