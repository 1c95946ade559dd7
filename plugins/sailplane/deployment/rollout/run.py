"""The endpoint of a model: begins rollouts, deploys at once, and drives both to their end."""

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
from sailplane.records import Approval, Deployment, Model
from sailplane.registry import holds
from sailplane.storage import Storage

POLL_SECONDS: Final = 1.0
# The first looks come sooner, and each one only a tenth later: many versions are ready within two seconds.
_FIRST_SECONDS: Final = 0.1
# Without checks, a version waits for no requests.
AT_ONCE: Final = Rollout(steps=(100,), checks=())


@dataclass(frozen=True)
class ModelEndpoint(Served):
    """A model on this machine or on a cluster, with its rollouts.

    :param endpoint: the address of the model
    :param location: the location on a cluster; None for this machine
    :param at_once: the plan that gives a version all the traffic as soon as it is ready
    """

    _: KW_ONLY
    endpoint: str
    location: ClusterLocation | None = None
    at_once: Rollout = AT_ONCE
    sleep: Callable[[float], None] = time.sleep

    @classmethod
    def local(cls, home: Home, ledger: Ledger, storage: Storage, name: str) -> ModelEndpoint:
        """The endpoint of a model on this machine."""
        from sailplane.deployment.local.endpoint import endpoint
        from sailplane.deployment.local.source import LocalSource
        from sailplane.deployment.local.target import LocalTarget

        target, source = LocalTarget(home, storage, name), LocalSource(home, name)
        return cls(ledger, target, source, name=name, endpoint=endpoint(home, name))

    def driver(self, version: str) -> Driver:
        """A new driver of the version's rollout."""
        return Driver(self, version)

    def begin(
        self, plan: Rollout, model: Model, owner: str, turn: str = "", *, approval: Approval | None = None
    ) -> RolloutRecord:
        """Begins the version's rollout and starts its server; returns the existing rollout of the same owner and turn.

        First it rolls back the owner's earlier turn and interrupted deployments at once, and finishes a rollout that is
        rolling back. Raises DeploymentError while another rollout is active, here or elsewhere, or if the services do
        not run; ModelError for a bundle that is damaged or does not load; HeldError while a rollback holds the model.
        After an error no rollout has started.
        """
        self._make_way(owner, turn)
        # A rollout of a version that cannot be served would block all others.
        self.target.prepare(model)
        return self._begin(self._subject(model, owner, turn), plan, approval)

    def deploy(self, model: Model, owner: str, *, approval: Approval | None = None) -> Deployment:
        """Gives the version all the traffic as soon as it is ready, and stops the others. Deploying the served version
        changes nothing. The owner's next call resumes a killed one; a person's `approval` lifts a hold.

        Raises DeploymentError while another rollout is running, or if the version failed and was removed, while the
        earlier version kept serving; HeldError, a DeploymentError, while a rollback holds the model; ModelError for a
        bundle that is damaged or does not load; ServiceError if the target does not answer.
        """
        repository.refuse_while_active(self.ledger, self.name, owner, self.clock())
        turn = self._unfinished_turn(model, owner) or datetime.now(UTC).isoformat()
        self._make_way(owner, turn)
        self.target.prepare(model)
        subject = replace(self._subject(model, owner, turn), at_once=True)
        repository.begin(self.ledger, subject, self.at_once, self.clock(), approval)
        state = self._finish_or_roll_back(subject)
        if state.phase == "failed":
            # A person may have rolled back meanwhile.
            holds.check(self.ledger, self.name, model.version, approval)
            raise self._failure(model.version, state.reason)
        return subject.deployment(model.version, {model.version: 100})

    def begin_back(self, model: Model, by: str, *, hold: bool) -> RolloutRecord:
        """Begins a person's rollback to the version, all traffic at once. Raises as `begin` does."""
        # The same person may return to the same version again, which is another turn.
        turn = datetime.now(UTC).isoformat()
        self._make_way(by, turn)
        self.target.prepare(model)
        subject = replace(self._subject(model, by, turn), back=True, hold=hold)
        return self._begin(subject, self.at_once, None)

    def _failure(self, version: str, reason: str) -> DeploymentError:
        remedy = f"The served version is unchanged. `sailplane rollout show {self.name}` has the details."
        return DeploymentError("deploy", f"{self.name} {version}", got=reason, remedy=remedy)

    def _subject(self, model: Model, owner: str, turn: str) -> Subject:
        return Subject(
            name=self.name,
            version=model.version,
            champion=self.champion(),
            endpoint=self.endpoint,
            owner=owner,
            turn=turn,
            place=self.location,
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
        if other is None:
            return
        self._refuse_elsewhere(other)
        reason = self._superseded(other, owner, turn)
        if reason:
            repository.abort(self.ledger, self.name, reason, owner, self.clock(), only=other.subject)
        if reason or other.state.phase == "rolling back":
            self.finish(other.subject.version)

    def _superseded(self, other: RolloutRecord, owner: str, turn: str) -> str:
        """The reason to roll it back for a new rollout; empty if there is none."""
        if other.subject.started_by(owner, turn):
            return ""
        if other.subject.owner == owner:
            return "it was restarted"
        return "its deployment was interrupted" if repository.abandoned(other, self.clock()) else ""

    def _unfinished_turn(self, model: Model, owner: str) -> str:
        """The turn of the owner's interrupted deployment of the version, unless that is rolling back; else empty."""
        entry = records.active(self.ledger, self.name)
        if entry is None or not entry.subject.at_once or entry.state.phase == "rolling back":
            return ""
        mine = (entry.subject.owner, entry.subject.version) == (owner, model.version)
        return entry.subject.turn if mine else ""

    def _refuse_elsewhere(self, other: RolloutRecord) -> None:
        if str(other.subject.place) != str(self.location):
            where = f"at {other.subject.place}" if other.subject.place else "on this machine"
            got = f"a rollout of {other.subject.version} is running {where}"
            remedy = f"Wait for it, or end it: `sailplane rollback {self.name}`."
            raise DeploymentError("roll out", self.name, got=got, remedy=remedy)

    def entry(self, version: str) -> RolloutRecord:
        """The version's rollout. Raises DeploymentError if there is none."""
        entry = records.find(self.ledger, self.name, version)
        if entry is None:
            raise DeploymentError("find the rollout of", f"{self.name} {version}", got="there is none")
        return entry

    def champion(self) -> str | None:
        """The version with the most traffic now; None if nothing serves."""
        weights = self.target.split().weights
        return max(sorted(weights), key=lambda version: weights[version], default=None)

    def finish(self, version: str, *, poll_seconds: float = POLL_SECONDS) -> State:
        """Drives the version's rollout, of any owner, to its end as soon as no other driver holds it."""
        driver = self.driver(version)
        try:
            return self._drive(driver, poll_seconds)
        finally:
            driver.release()

    def _finish_or_roll_back(self, subject: Subject) -> State:
        driver = self.driver(subject.version)
        try:
            return self._drive(driver, POLL_SECONDS)
        except BaseException as error:
            self._roll_back(driver, subject, error)
            raise
        finally:
            driver.release()

    def _roll_back(self, driver: Driver, subject: Subject, error: BaseException) -> None:
        reason = f"its deployment failed: {error or type(error).__name__}"
        try:
            repository.abort(self.ledger, self.name, reason, subject.owner, self.clock(), only=subject)
            self._drive(driver, POLL_SECONDS)
        except Exception as second:
            error.add_note(f"It was not rolled back: {second} The next deployment of {self.name} ends it.")

    def _drive(self, driver: Driver, poll_seconds: float) -> State:
        pause = min(_FIRST_SECONDS, poll_seconds)
        while True:
            state = self._looked(driver)
            if state is not None and state.ended:
                return state
            self.sleep(pause)
            pause = min(1.1 * pause, poll_seconds)

    def _looked(self, driver: Driver) -> State | None:
        while True:
            try:
                return driver.tick()
            except LeaseError:
                continue
