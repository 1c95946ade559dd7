"""Back to the version before, at a person's word."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Final

from sailplane.errors import DeploymentError, ModelError, ServiceError
from sailplane.ledger import Ledger
from sailplane.records import Model
from sailplane.registry.models import PREVIOUS, alias, find
from sailplane.serving.client import wait_until
from sailplane.serving.kubernetes.place import Place
from sailplane.serving.kubernetes.recorded import latest
from sailplane.serving.rollout import entries, journal
from sailplane.serving.rollout.run import AT_ONCE, Serving
from sailplane.serving.rollout.state import ENDED, State

_POLL_SECONDS: Final = 0.2
# A triggerer looks each second; one that was killed is back within that.
TRIGGERER_SECONDS: Final = 60.0


def roll_back(serving: Serving, by: str, *, to: str | None = None) -> str:
    """Which version serves then. It is recorded with who asked for it and when, like every rollout.

    Without `to`, a rollout that is on its way ends with the champion that it began with; where there is none, the
    version before the champion takes its place. Raises ModelError if there is no such version, DeploymentError if it
    does not start: what serves stays.
    """
    ended = _aborted(serving.ledger, serving.name, by)
    if ended is not None:
        state = serving.finish(ended, poll_seconds=_POLL_SECONDS)
        _tell(serving.name, ended, state)
        if to is None and state.phase == "failed":
            return _serves(serving)
    model = _before(serving) if to is None else find(serving.ledger, f"{serving.name}@{to}")
    # Each time is another one, though the same person goes back to the same version.
    serving.begin(AT_ONCE, model, by, turn=datetime.now(UTC).isoformat())
    state = serving.finish(model.version, poll_seconds=_POLL_SECONDS)
    if state.phase == "failed":
        raise DeploymentError("roll back", f"{model.name} to {model.version}", got=state.reason)
    return _serves(serving)


def place_of(ledger: Ledger, name: str) -> Place | None:
    """Where on a cluster its rollout is, else where it was changed last; None on this machine."""
    if (entry := entries.active(ledger, name)) is not None:
        return entry.subject.place
    there = latest(ledger, name)
    return there.place if there else None


def leave_to_driver(ledger: Ledger, name: str, by: str) -> bool:
    """Where only the driver of a rollout knows the way: it looks at the ledger each second, and goes back. False if no
    rollout is on its way, or it was promoted at this moment. Raises ServiceError where no driver comes."""
    version = _aborted(ledger, name, by)
    if version is None:
        return False

    def state() -> State:
        entry = entries.find(ledger, name, version)
        return entry.state if entry else State(phase="failed")

    if not wait_until(lambda: state().phase in ENDED, seconds=TRIGGERER_SECONDS, every=_POLL_SECONDS):
        got, remedy = f"it is still {state().phase}", "Start Airflow's triggerer, which goes on with it."
        raise ServiceError("roll back", f"{name} {version}", got=got, remedy=remedy)
    _tell(name, version, state())
    return state().phase == "failed"


def _aborted(ledger: Ledger, name: str, by: str) -> str | None:
    """The version that was on its way."""
    entry = journal.abort(ledger, name, f"rolled back by {by}", by)
    return entry.subject.version if entry else None


def _before(serving: Serving) -> Model:
    model = alias(serving.ledger, serving.name, PREVIOUS)
    if model is None:
        remedy = f"`sailplane models list` shows what there is; `sailplane rollback {serving.name} --to VERSION`."
        raise ModelError("roll back", serving.name, got="no version served before this one", remedy=remedy)
    return model


def _serves(serving: Serving) -> str:
    version = serving.champion() or "no version"
    where = f" at {serving.place}" if serving.place else ""
    sys.stdout.write(f"{serving.name}: {version} serves{where}\n")
    return version


def _tell(name: str, version: str, state: State) -> None:
    sys.stdout.write(f"{name} {version}: {state.phase}, {state.reason or 'it was the champion already'}\n")
