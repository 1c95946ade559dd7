"""Moves the store, and checks that the current store is the one that the ledger names."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from dotenv import dotenv_values, set_key
from rich.console import Console

from sailplane import pairing
from sailplane.errors import ConfigurationError, ServiceError, StorageError
from sailplane.files import locked, private_folder, replace_file
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.ledger.rewriting import make_relative
from sailplane.ledger.tables import rollouts, trials
from sailplane.registry.manifest import MANIFEST
from sailplane.registry.models import CHAMPION, Version, versions
from sailplane.services import installation, object_store
from sailplane.services.airflow_api import AirflowApi
from sailplane.services.leftovers import marked
from sailplane.storage import Progress, Storage
from sailplane.storage.move import Copy
from sailplane.storage.roots import DEFAULTS, Root, local_folder
from sailplane.storage.store import IDENTITY
from sailplane.supervisor import Supervisor

SETTING: Final = "SAILPLANE_STORE"
_S3_SECONDS: Final = 60.0
# Between two lines of progress where there is no terminal.
_LINE_SECONDS: Final = 10.0


def move(home: Home, uri: str, console: Console) -> None:
    """Copies, verifies and switches. A killed move goes on when it is called again. The old store stays as it was.

    Raises ServiceError while services or workers may write, ConfigurationError for a target that cannot be taken.
    """
    there, remedy = replace(home, store=uri), "Wait until it has ended."
    busy = ServiceError(
        "move the store of", home.root, got="another move, or `sailplane up`, is running", remedy=remedy
    )
    with locked(_lock(home), busy=busy):
        _require_quiet(home)
        _move(home, there, console)


@contextmanager
def staying(home: Home) -> Iterator[None]:
    """Keeps the store where it is: a move would miss what services write meanwhile. ServiceError during a move."""
    remedy = "Wait until `sailplane store move` has ended."
    busy = ServiceError("start in", home.root, got="its store is being moved", remedy=remedy)
    with locked(_lock(home), shared=True, busy=busy):
        yield


def _lock(home: Home) -> Path:
    return private_folder(home.root) / "move.lock"


def _move(home: Home, there: Home, console: Console) -> None:
    with embedded_s3(home, there):
        _ledger, source = pairing.opened(home, _opened(home))
        target = _opened(there)
        copy = Copy(source, target, _journal(home, source, target))
        copy.begin()
        with _Shown(console) as shown:
            progress = copy.run(shown.tell)
        with Ledger.at(home).begin() as connection:
            make_relative(connection, source.root)
        copy.publish()
        pairing.remember(home, target.root, Ledger.at(home).id)
        _switch(home, source.root, target.root, there.store, console)
        copy.close()
    console.print(f"{progress.all_objects} objects, {progress.all_bytes / 1e6:.1f} MB, are verified in {target.root}.")
    for path in copy.damaged:
        console.print(f"Damaged before the move, and copied as it is: {path}")


def require_store(home: Home) -> None:
    """ConfigurationError if the store lacks a model's champion, or the newest version of a model without one, or was
    moved elsewhere. Also makes the URIs of earlier releases relative to it."""
    root, moved = Root.parse(home.store).uri, _moved(home)
    if root in moved.get("from", ()):
        remedy = f"Set SAILPLANE_STORE={moved['to']}."
        raise ConfigurationError("open the store", root, got=f"it was moved to {moved['to']}", remedy=remedy)
    ledger = Ledger.at(home)
    with installation.left_to_tasks(home):
        _require_models(home, _expected(versions(ledger)))
    with ledger.begin() as connection:
        make_relative(connection, root)


def _expected(newest_first: Sequence[Version]) -> dict[str, Version]:
    """By model: its champion, else its newest version."""
    found: dict[str, Version] = {}
    for version in newest_first:
        if CHAMPION in version.aliases:
            found[version.model.name] = version
        found.setdefault(version.model.name, version)
    return found


def _require_models(home: Home, expected: Mapping[str, Version]) -> None:
    root = Root.parse(home.store)
    # Opening the store would make the folder.
    absent = root.scheme == "file" and not local_folder(root.uri).exists()
    for name, version in expected.items():
        named = f"the {'champion' if CHAMPION in version.aliases else 'newest version'} of {name} in the ledger"
        if absent:
            raise _lacking(root.uri, f"there is no such folder; expected {named}")
        storage = _opened(home)
        path = f"{storage.path(version.model.uri)}/{MANIFEST}"
        if not storage.exists(path):
            raise _lacking(storage.root, f"it lacks {path}, {named}")


def _lacking(root: str, got: str) -> ConfigurationError:
    remedy = "Set SAILPLANE_STORE back to the previous store. `sailplane store move URI` copies it to a new place."
    return ConfigurationError("open the store", root, got=got, remedy=remedy)


def require_access(home: Home) -> None:
    """ConfigurationError if neither this process nor an Airflow connection has credentials for the store."""
    root = Root.parse(home.store)
    if root.scheme == "file" or home.has_s3:
        return
    try:
        _opened(home).exists(IDENTITY)
    except StorageError as error:
        name = root.connection or DEFAULTS[root.scheme]
        with AirflowApi(home) as api:
            known = f"AIRFLOW_CONN_{name.upper()}" in os.environ or api.find(f"/connections/{name}") is not None
        if not known:
            remedy = f"Make the Airflow connection {name}, set the credentials in the environment, or set "
            remedy += "SAILPLANE_STORE back."
            raise ConfigurationError("open the store", root.uri, got=error, remedy=remedy) from error


def _require_quiet(home: Home) -> None:
    remedy = "Run `sailplane down` first."
    if Supervisor(home).running() or marked(home):
        raise ServiceError("move the store of", home.root, got="its services run, and write to it", remedy=remedy)
    with Ledger.at(home).begin() as connection:
        ended = rollouts.c.phase.in_(("succeeded", "failed"))
        leases = [
            *connection.execute(sa.select(trials.c.lease_until).where(trials.c.state == "running")).scalars(),
            *connection.execute(sa.select(rollouts.c.lease_until).where(~ended)).scalars(),
        ]
    if (until := max(leases, default=0.0)) > time.time():
        got = f"a worker elsewhere holds a trial or a rollout until {datetime.fromtimestamp(until, UTC):%X} UTC"
        raise ServiceError("move the store of", home.root, got=got, remedy="Stop it, and wait until then.")


def _opened(home: Home) -> Storage:
    return Storage(home.store, object_store.ask(home) if home.has_s3 else None)


def _journal(home: Home, source: Storage, target: Storage) -> Path:
    name = hashlib.sha256(f"{source.root}\n{target.root}".encode()).hexdigest()[:16]
    return private_folder(home.root / "moves") / f"{name}.jsonl"


@contextmanager
def embedded_s3(*homes: Home) -> Iterator[None]:
    """Runs the embedded S3 if one of these stores is in it, while the other services are down."""
    home = next((home for home in homes if home.has_s3), None)
    if home is None:
        yield
        return
    object_store.prepare(home)
    env = {**os.environ, SETTING: home.store, "SAILPLANE_HOME": str(home.root), "SAILPLANE_PROJECT": str(home.project)}
    log = private_folder(home.logs) / f"{object_store.NAME}.log"
    command = [sys.executable, "-P", "-m", "sailplane.cli", "run", object_store.NAME]
    with log.open("a") as said, subprocess.Popen(command, env=env, stdout=said, stderr=said) as running:
        try:
            deadline = time.monotonic() + _S3_SECONDS
            while not object_store.healthy(home):
                if running.poll() is not None or time.monotonic() > deadline:
                    raise ServiceError("start", "the embedded S3", got="it does not answer", remedy=f"See {log}.")
                time.sleep(0.2)
            yield
        finally:
            running.terminate()


def _switch(home: Home, before: str, root: str, uri: str, console: Console) -> None:
    earlier = [known for known in dict.fromkeys([*_moved(home).get("from", ()), before]) if known != root]
    replace_file(home.root / "moved.json", json.dumps({"from": earlier, "to": root}))
    file = home.project / ".env"
    named, set_there = os.environ.get(SETTING), dotenv_values(file).get(SETTING)
    if named is not None and named != set_there:
        console.print(f"SAILPLANE_STORE is set in your environment. Set it there now: export SAILPLANE_STORE={uri}")
    else:
        # The file may hold keys, so only its owner may read it.
        file.touch(mode=0o600)
        set_key(file, SETTING, uri, quote_mode="auto")
        console.print(f"{file} now says SAILPLANE_STORE={uri}. `sailplane up` starts with it.")
    console.print(f"The old store stays as it was: {before}. Delete it when you no longer need it.")


def _moved(home: Home) -> dict[str, Sequence[str]]:
    file = home.root / "moved.json"
    return dict(json.loads(file.read_text())) if file.exists() else {}


class _Shown:
    """Shows the progress: on a terminal in one line that changes, elsewhere in a line every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = console.status("Copying the store") if console.is_terminal else None
        self._last = time.monotonic()

    def __enter__(self) -> _Shown:
        if self._status:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status:
            self._status.stop()

    def tell(self, progress: Progress) -> None:
        line = f"{progress.objects} of {progress.all_objects} objects, {progress.bytes / 1e6:.1f} of "
        line += f"{progress.all_bytes / 1e6:.1f} MB"
        if self._status:
            self._status.update(line)
        elif time.monotonic() - self._last > _LINE_SECONDS:
            self._last = time.monotonic()
            self._console.print(line)
