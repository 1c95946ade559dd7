"""A user's small platform: a source, and a home with its services."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from sailplane import pairing
from sailplane.deployment.http_client import Reply, call, wait_until
from sailplane.deployment.rollout import records
from sailplane.deployment.token import authorization
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Dataset, Evaluation, Run
from sailplane.registry.holds import Hold
from sailplane.registry.models import fetch_bundle
from sailplane.storage import Storage
from sailplane.supervisor import Supervisor
from tests.ports import free_port
from tests.states import deeds, housekeeping
from tests.states.clock import Clock
from tests.states.deeds import NAME

PATH = f"/seldon/local/{NAME}/api/v1.0/predictions"


class World:
    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="sailplane-states-"))
        self.settings = {
            "SAILPLANE_PROJECT": str(self.folder),
            "SAILPLANE_HOME": str(self.folder / "home"),
            "SAILPLANE_ROUTER_PORT": str(free_port()),
        }
        self.source = self.folder / "source"
        self.source.mkdir()
        self.clock = Clock()
        self.values: dict[int, int] = {}
        self.today = self.runs = self.moves = 0
        self.dataset: Dataset | None = None
        self.trained: list[Run] = []
        self.judged: list[Evaluation] = []
        # Runs that were collected and are still in the trash.
        self.collected: list[Run] = []
        self.golden: dict[str, tuple[list[dict[str, Any]], list[list[float]]]] = {}
        # The original content of damaged objects, by path in the store.
        self.damaged: dict[str, bytes] = {}
        # Signatures of the objects that were checked; a changed one is checked again.
        self.good: dict[str, object] = {}
        # False after a killed deed, until somebody says which version should serve.
        self.settled = True
        self.champion: str | None = None
        # The hold after the last step, and the version that serves during it.
        self.hold: Hold | None = None
        self.held_champion: str | None = None

    def start(self) -> None:
        for _ in range(deeds.WINDOW_DAYS):
            self.pass_a_day(0)
        housekeeping.up(self.home)

    @property
    def home(self) -> Home:
        """Finds the home with the settings of `.env`, which a move of the store writes."""
        said = {name: value for name, value in dotenv_values(self.folder / ".env").items() if value}
        return Home.find({**self.settings, **said})

    @property
    def ledger(self) -> Ledger:
        return Ledger.at(self.home)

    @property
    def storage(self) -> Storage:
        return Storage(self.home.store)

    @property
    def store_folder(self) -> Path:
        return Path(self.home.store.removeprefix("file://"))

    def close(self) -> None:
        try:
            Supervisor(self.home).shutdown()
            housekeeping.forget_connections(self.home)
        finally:
            shutil.rmtree(self.folder)

    def pass_a_day(self, value: int) -> None:
        self.write(self.today, value)
        self.today += 1

    def write(self, day: int, value: int) -> None:
        self.values[day] = value
        file = self.source / f"{deeds.day_of(day):%Y-%m-%d}.csv"
        deeds.rows_of(deeds.day_of(day), value).to_csv(file, index=False)

    def next_run(self) -> str:
        self.runs += 1
        return f"run-{self.runs}"

    def keep(self, run: Run) -> None:
        """Records the golden scores that the run's model must give whenever it serves."""
        with tempfile.TemporaryDirectory() as scratch:
            bundle = fetch_bundle(self.storage, run.bundle, Path(scratch) / "bundle")
            self.golden[bundle.version] = (bundle.golden_records, bundle.golden_scores)
        self.trained.append(run)

    @property
    def phase(self) -> str | None:
        """The phase of the active rollout."""
        entry = records.active(self.ledger, NAME)
        return entry.state.phase if entry else None

    @property
    def rolling_out(self) -> bool:
        return self.phase is not None

    @property
    def blocked(self) -> bool:
        """True while a rollout refuses all others. An interrupted deployment at once gives way to the next one."""
        entry = records.active(self.ledger, NAME)
        return entry is not None and not entry.subject.at_once

    def wait_for_lease(self) -> None:
        """Waits until the lease of a killed driver has expired."""
        if (entry := records.active(self.ledger, NAME)) is not None:
            self.clock.now = max(self.clock.now, entry.lease_until)

    def ask(self) -> Reply:
        records = next(iter(self.golden.values()))[0]
        body = {"jsonData": records}
        return call(self.home.router_port, "POST", PATH, body, headers=authorization(self.home), seconds=30)

    def answer(self) -> Reply:
        """Waits for an answer and returns it."""
        assert wait_until(lambda: self.ask().status == 200, seconds=90), self.ask()
        return self.ask()

    def kill(self, program: str) -> None:
        """Kills supervisord or one of its programs."""
        supervisor = Supervisor(self.home)
        pid = supervisor.pid if program == "supervisord" else supervisor.states()[program].pid
        if pid:
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not _alive(pid), seconds=10)
        assert wait_until(supervisor.running, seconds=30), "supervisord does not come back"

    def damage(self, path: str) -> None:
        """Truncates an object of the store."""
        file = self.store_folder / path
        self.damaged[path] = content = file.read_bytes()
        file.write_bytes(content[: len(content) // 2])

    def mend(self) -> None:
        """Restores the damaged objects, as from a backup."""
        for path, content in self.damaged.items():
            # Garbage collection may have moved the damaged object, or a user may have put it back.
            place = path.split("/", 2)[2] if path.startswith("trash/") else path
            for file in {
                self.store_folder / path,
                self.store_folder / place,
                *self.store_folder.glob(f"trash/*/{place}"),
            }:
                if file.exists():
                    file.write_bytes(content)
        self.damaged.clear()
        # The next task compares ledger and store again, because it is a separate process.
        pairing.forget()
        pairing.opened(self.home)

    def has_changed(self, what: str, signatures: dict[str, frozenset[object]], *names: str) -> bool:
        """Whether the object changed since the last call. A damaged object counts as changed."""
        now = [signatures.get(name) for name in names]
        before, self.good[what] = self.good.get(what), now
        if self.damaged:
            del self.good[what]
        return before != now

    def is_damage(self, said: str) -> bool:
        """Whether the error names a damaged object or its folder."""
        return any(path in said or (path.rpartition("/")[0] or path) in said for path in self.damaged)

    def is_spoiled(self, what: str) -> bool:
        """Whether an object under the path or URI is damaged or cannot be identified."""
        path = what.removeprefix(f"{self.storage.root}/")
        return any(damaged == "sailplane.json" or path in damaged for damaged in self.damaged)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
