"""Carries a rollout out: looks, writes down what is decided, does it, writes down that it is done.

What is decided is on the ledger before it is done, so who comes after a crash does it again and nothing else. Before
each thing it does, a driver makes sure that it still holds the rollout.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, replace

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
    """A model where it is served: its target there, and what is seen of its versions. `clock`: seconds since 1970."""

    ledger: Ledger
    target: Target
    source: Source
    _: KW_ONLY
    name: str
    clock: Callable[[], float] = time.time


class Driver:
    """Of one version's rollout."""

    def __init__(self, served: Served, version: str) -> None:
        self._ledger, self._target, self._source = served.ledger, served.target, served.source
        self._name, self._version, self._clock = served.name, version, served.clock
        self._driver = uuid.uuid4().hex
        self._waits_for = ""

    def tick(self) -> State | None:
        """One look, and what follows from it; to be called about once a second. None while another driver is at it.

        Raises ServiceError where the target or the source does not answer, and LeaseError where another driver came
        in between: nothing is lost by either, the next tick goes on.
        """
        entry = repository.take(self._ledger, self._name, self._version, self._driver, self._clock())
        if entry is None:
            return None
        stage = ""
        while entry.state.stage != stage and not entry.state.ended:
            stage = entry.state.stage
            entry = self._act(self._look(entry))
            # What is decided is done, and what is over is ended, before anybody looks again.
            entry = self._look(entry) if entry.state.phase in CLOSING else entry
        return entry.state

    def release(self) -> None:
        """Another driver may go on at once."""
        repository.release(self._ledger, self._name, self._version, self._driver)

    def _look(self, entry: RolloutRecord) -> RolloutRecord:
        state = entry.state
        progress, observed = self._seen(entry)
        after, findings = advance(entry.plan, entry.subject, state, progress, observed, self._clock())
        if after.stage != state.stage:
            _log.info("%s %s: %s, %s", self._name, self._version, after.stage, after.reason or "as planned")
        return self._keep(entry, after, findings) if after != state else entry

    def _seen(self, entry: RolloutRecord) -> tuple[VersionProgress, Mapping[str, Observations]]:
        """Of a version that was begun, and is not given up; what it did, where checks look at that."""
        if not entry.state.applied or entry.state.phase in CLOSING:
            return VersionProgress("starting"), {}
        progress = self._target.progress(self._version)
        self._log_wait(progress)
        if progress.state != "ready" or entry.state.phase not in WATCHED or not entry.plan.checks:
            return progress, {}
        try:
            observed = {self._version: self._source.observed(self._version)}
        except ServiceError as error:
            # It died at this moment: who is away for too long is taken back.
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
        found = self._target.split()
        # Crashes and lost ledgers leave versions behind that nobody else stops.
        running = self._target.versions() if entry.state.phase == "promoting" and not entry.state.applied else ()
        for action in actions(entry.plan, entry.subject, entry.state, found, running):
            repository.renew(self._ledger, entry, self._driver, self._clock())
            try:
                self._do(action, entry)
            except (DeploymentError, ModelError) as error:
                # What is on its way back goes on with that, and what is the champion stays it.
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
