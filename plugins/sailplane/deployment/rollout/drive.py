"""Drives a rollout: observes, records the decision, acts, and records that the actions are done.

Each decision is on the ledger before its actions begin, so after a crash the next driver repeats these actions and no
others. Before each action, a driver checks that it still holds the rollout.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, replace

from sqlalchemy.exc import SQLAlchemyError

from sailplane.deployment.rollout import repository
from sailplane.deployment.rollout.check_results import CheckResult
from sailplane.deployment.rollout.engine import Action, Begin, Move, Promote, Stop, actions, advance, failing
from sailplane.deployment.rollout.records import RolloutRecord
from sailplane.deployment.rollout.state import CLOSING, WATCHED, State
from sailplane.deployment.target import Target, VersionProgress
from sailplane.errors import DeploymentError, ModelError, ServiceError
from sailplane.ledger import Ledger
from sailplane.registry.models import get
from sailplane.serving.observations import Observations, Source

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Served:
    """A served model: its target, and the source of its versions' counts. `clock` gives seconds since 1970."""

    ledger: Ledger
    target: Target
    source: Source
    _: KW_ONLY
    name: str
    clock: Callable[[], float] = time.time


class Driver:
    """The driver of one version's rollout."""

    def __init__(self, served: Served, version: str) -> None:
        self._ledger, self._target, self._source = served.ledger, served.target, served.source
        self._name, self._version, self._clock = served.name, version, served.clock
        self._driver = uuid.uuid4().hex
        self._waits_for = ""

    def tick(self) -> State | None:
        """Observes once and acts on it; call it about once a second. None while another driver holds the rollout.

        Raises ServiceError if the target or the source does not answer, and LeaseError if another driver took the
        rollout meanwhile. The next tick continues after either.
        """
        entry = repository.take(self._ledger, self._name, self._version, self._driver, self._clock())
        if entry is None:
            return None
        stage = ""
        while entry.state.stage != stage and not entry.state.ended:
            stage = entry.state.stage
            entry = self._act(self._look(entry))
            # Finish a decision before the next look.
            entry = self._look(entry) if entry.state.phase in CLOSING else entry
        return entry.state

    def release(self) -> None:
        """Lets another driver continue at once."""
        repository.release(self._ledger, self._name, self._version, self._driver)

    def _look(self, entry: RolloutRecord) -> RolloutRecord:
        state = entry.state
        progress, observed = self._seen(entry)
        after, findings = advance(entry.plan, entry.subject, state, progress, observed, self._clock())
        if after.stage != state.stage:
            _log.info("%s %s: %s, %s", self._name, self._version, after.stage, after.reason or "as planned")
        return self._keep(entry, after, findings) if after != state else entry

    def _seen(self, entry: RolloutRecord) -> tuple[VersionProgress, Mapping[str, Observations]]:
        """The progress of a version that was started and not given up, and the counts if a check needs them."""
        if not entry.state.applied or entry.state.phase in CLOSING:
            return VersionProgress("starting"), {}
        progress = self._target.progress(self._version)
        self._log_wait(progress)
        if progress.state != "ready" or entry.state.phase not in WATCHED or not entry.plan.checks:
            return progress, {}
        try:
            observed = {self._version: self._source.observed(self._version)}
        except ServiceError as error:
            # The version just died: it is rolled back if it is away for too long.
            return VersionProgress("starting", str(error)), {}
        champion = entry.subject.champion
        return progress, {**observed, **({champion: self._source.observed(champion)} if champion else {})}

    def _log_wait(self, progress: VersionProgress) -> None:
        """Logs each reason for a wait once."""
        if progress.state == "starting" and progress.reason != self._waits_for:
            _log.info("%s %s: %s", self._name, self._version, progress.reason)
            self._waits_for = progress.reason

    def _act(self, entry: RolloutRecord) -> RolloutRecord:
        if entry.state.ended:
            return entry
        present = self._target.split()
        # Crashes and lost ledgers leave versions behind that nobody else stops.
        running = self._target.versions() if entry.state.phase == "promoting" and not entry.state.applied else ()
        for action in actions(entry.plan, entry.subject, entry.state, present, running):
            try:
                repository.renew(self._ledger, entry, self._driver, self._clock())
                self._do(action, entry)
            except SQLAlchemyError:
                # A version that cannot become the champion must not keep the champion's traffic.
                if isinstance(action, Promote):
                    self._target.move(present)
                raise
            except (DeploymentError, ModelError) as error:
                # A rollback continues, and a champion stays champion.
                if entry.state.phase == "rolling back" or isinstance(action, Stop):
                    raise
                return self._act(self._keep(entry, failing(entry.state, str(error))))
        return entry if entry.state.applied else self._keep(entry, replace(entry.state, applied=True))

    def _do(self, action: Action, entry: RolloutRecord) -> None:
        match action:
            case Begin():
                self._target.begin(get(self._ledger, self._name, self._version))
            case Move(to):
                self._target.move(to)
            case Promote():
                repository.promote(self._ledger, entry, self._driver, self._clock())
            case Stop(version):
                self._target.stop(version)

    def _keep(self, entry: RolloutRecord, state: State, findings: tuple[CheckResult, ...] = ()) -> RolloutRecord:
        return repository.keep(self._ledger, entry, self._driver, state, self._clock(), findings)
