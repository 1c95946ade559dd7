"""Rolls back to an earlier version for a person."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from sailplane.deployment.http_client import wait_until
from sailplane.deployment.rollout import records, repository
from sailplane.deployment.rollout.run import ModelEndpoint
from sailplane.deployment.rollout.state import ENDED, State
from sailplane.errors import DeploymentError, ModelError, ServiceError
from sailplane.ledger import Ledger
from sailplane.records import Model
from sailplane.registry import holds
from sailplane.registry.aliases import CHAMPION, PREVIOUS
from sailplane.registry.models import RegisteredVersion, alias, find, versions

_POLL_SECONDS: Final = 0.2
# A triggerer looks every second; one that was killed is back within this time.
TRIGGERER_SECONDS: Final = 60.0


def roll_back(serving: ModelEndpoint, by: str, *, to: str | None = None, hold: bool = True) -> str:
    """Rolls back, records who did it and when, and returns the version that serves.

    Without `to`, an active rollout ends, and the champion it started with serves again. If no rollout is active, the
    previous version replaces the champion: the one that served last, among those that were never rolled back.

    :param by: the person
    :param to: the version that serves afterwards
    :param hold: no task deploys the model until a person releases it or approves a model
    :raises ModelError: if there is no such version
    :raises DeploymentError: if that version does not start; the served version stays
    """
    ended = repository.roll_back(serving.ledger, serving.name, by, hold=hold)
    if ended is not None:
        state = serving.finish(ended.subject.version, poll_seconds=_POLL_SECONDS)
        _tell(serving.name, ended.subject.version, state)
        # An interrupted rollback is done if it was promoted; a task's rollout is rolled back if it was not.
        if to is None and (state.phase == "succeeded") == ended.subject.back:
            return _serves(serving, hold=hold)
    model = _before(serving) if to is None else find(serving.ledger, f"{serving.name}@{to}")
    serving.begin_back(model, by, hold=hold)
    state = serving.finish(model.version, poll_seconds=_POLL_SECONDS)
    if state.phase == "failed":
        raise DeploymentError("roll back", f"{model.name} to {model.version}", got=state.reason)
    return _serves(serving, hold=hold)


def leave_to_driver(ledger: Ledger, name: str, by: str, *, hold: bool = True) -> bool:
    """Rolls back a rollout whose target only its driver can reach: the driver reads the ledger every second. False if
    no rollout is active, or if it was promoted at this moment. Raises ServiceError if no driver comes."""
    ended = repository.roll_back(ledger, name, by, hold=hold)
    if ended is None:
        return False
    version = ended.subject.version

    def state() -> State:
        entry = records.find(ledger, name, version)
        return entry.state if entry else State(phase="failed")

    if not wait_until(lambda: state().phase in ENDED, seconds=TRIGGERER_SECONDS, every=_POLL_SECONDS):
        got, remedy = f"it is still {state().phase}", "Start Airflow's triggerer, which continues it."
        raise ServiceError("roll back", f"{name} {version}", got=got, remedy=remedy)
    _tell(name, version, state())
    if hold:
        _tell_hold(ledger, name)
    return state().phase == "failed"


def _before(serving: ModelEndpoint) -> Model:
    model = alias(serving.ledger, serving.name, PREVIOUS)
    if model is None:
        known = versions(serving.ledger, serving.name)
        bad = [version for version in known if version.rolled_back and CHAMPION not in version.aliases]
        got = "no version served before this one"
        if bad:
            got = f"no version is left that was not rolled back: {_listed(bad)}"
        remedy = f"`sailplane models list` shows the versions; `sailplane rollback {serving.name} --to VERSION`."
        raise ModelError("roll back", serving.name, got=got, remedy=remedy)
    return model


def _listed(bad: Sequence[RegisteredVersion]) -> str:
    return ", ".join(f"{version.model.version} was {version.rolled_back}" for version in bad)


def _serves(serving: ModelEndpoint, *, hold: bool) -> str:
    version = serving.champion() or "no version"
    where = f" at {serving.location}" if serving.location else ""
    sys.stdout.write(f"{serving.name}: {version} serves{where}\n")
    if hold:
        _tell_hold(serving.ledger, serving.name)
    return version


def _tell_hold(ledger: Ledger, name: str) -> None:
    held = holds.find(ledger, name)
    if held is not None:
        sys.stdout.write(f"{held.message}\n")


def _tell(name: str, version: str, state: State) -> None:
    sys.stdout.write(f"{name} {version}: {state.phase}, {state.reason or 'it was the champion already'}\n")
