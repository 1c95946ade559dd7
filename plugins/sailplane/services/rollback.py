"""`sailplane rollback MODEL [--to VERSION]`: ends a rollout that is on its way, or goes back to the version before."""

from __future__ import annotations

import argparse
import getpass
import socket
import sys
from datetime import UTC, datetime

from sailplane.errors import DeploymentError, ModelError
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Model
from sailplane.registry.models import PREVIOUS, alias, find
from sailplane.serving.rollout import journal
from sailplane.serving.rollout.run import AT_ONCE, Serving
from sailplane.storage import Storage

_POLL_SECONDS = 0.2


def run(home: Home, arguments: argparse.Namespace) -> int:
    ledger, name = Ledger.at(home), arguments.model
    roll_back(Serving.local(home, ledger, Storage(home.store), name), person(), to=arguments.to)
    return 0


def person() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"


def roll_back(serving: Serving, by: str, *, to: str | None = None) -> str:
    """Which version serves then. It is recorded with who asked for it and when, like every rollout.

    Without `to`, a rollout that is on its way ends with the champion that it began with; where there is none, the
    version before the champion takes its place. Raises ModelError if there is no such version, DeploymentError if it
    does not start: what serves stays.
    """
    ended = journal.abort(serving.ledger, serving.name, f"rolled back by {by}", by)
    if ended is not None:
        state = serving.finish(ended.subject.version, poll_seconds=_POLL_SECONDS)
        _tell(f"{serving.name} {ended.subject.version}: {state.phase}, {state.reason or 'it was the champion already'}")
        if to is None and state.phase == "failed":
            return _serves(serving)
    model = _before(serving) if to is None else find(serving.ledger, f"{serving.name}@{to}")
    # Each time is another one, though the same person goes back to the same version.
    serving.begin(AT_ONCE, model, by, turn=datetime.now(UTC).isoformat())
    state = serving.finish(model.version, poll_seconds=_POLL_SECONDS)
    if state.phase == "failed":
        raise DeploymentError("roll back", f"{model.name} to {model.version}", got=state.reason)
    return _serves(serving)


def _before(serving: Serving) -> Model:
    model = alias(serving.ledger, serving.name, PREVIOUS)
    if model is None:
        remedy = f"`sailplane models list` shows what there is; `sailplane rollback {serving.name} --to VERSION`."
        raise ModelError("roll back", serving.name, got="no version served before this one", remedy=remedy)
    return model


def _serves(serving: Serving) -> str:
    version = serving.champion() or "no version"
    _tell(f"{serving.name}: {version} serves")
    return version


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
