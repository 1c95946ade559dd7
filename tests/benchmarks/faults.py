"""What clients see while versions change and processes are killed, under 500 requests a second through the router.

A small model over arrays, supervisord, the router and the model servers; no Airflow beside them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import orjson

from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Model
from sailplane.registry.models import register
from sailplane.services.rollback import roll_back
from sailplane.serving.client import wait_until
from sailplane.serving.rollout import entries
from sailplane.serving.rollout.declared import ErrorRate, Latency
from sailplane.serving.rollout.plan import Rollout
from sailplane.serving.rollout.run import AT_ONCE, POLL_SECONDS, Serving
from sailplane.serving.router import Router, router_program
from sailplane.serving.target import Split
from sailplane.storage import Storage
from sailplane.supervisor import Supervisor
from sailplane.supervisor.processes import Processes
from tests.benchmarks.row import Row
from tests.platform import free_port
from tests.unit.registry import tiny

PACED = Path(__file__).parent / "clients" / "paced.py"
RATE, LONGEST, AROUND = 500, 120, 2.0
PLAN = Rollout(steps=[10, 50, 100], bake="3s", checks=[ErrorRate(), Latency(p99="250ms")])
# It gives its golden rows their scores, and goes wrong on what is asked.
ASKED = 'import __main__\nSERVER = "serving.server" in str(getattr(__main__, "__spec__", ""))\n' + tiny.COLUMNS
WRONG = {
    "answers NaN": 'columns = {**columns, "distance": columns["distance"] * np.nan}',
    "fails": 'raise KeyError("distance")',
    "takes 2 s": "import time; time.sleep(2)",
}


class Answer(NamedTuple):
    due: float
    seconds: float
    status: int
    said: str


@dataclass
class Load:
    answers: list[Answer] = field(default_factory=list)

    def row(self, name: str, limit: str = "0") -> Row:
        """Failed requests."""
        failed = [answer for answer in self.answers if answer.status != 200]
        for said in sorted({f"{answer.status} {answer.said}" for answer in failed}):
            sys.stderr.write(f"{name}: {said}\n")
        return Row(f"{name}: failed", len(failed), len(self.answers), "requests", "all that were asked", limit)

    def back(self, name: str, killed: float) -> Row:
        """Until the last one that failed had been due."""
        last = max((answer.due for answer in self.answers if answer.status != 200), default=killed)
        return Row(f"{name}: answers again after", last - killed, 2, "s", "the limit", "2 s")

    def last_of(self, version: str) -> float:
        """When the last request was due that the version answered."""
        return max((answer.due for answer in self.answers if answer.said == version), default=0.0)


class Place:
    """A home in which a model is served, at first in one version."""

    def __init__(self, folder: Path, home: Home) -> None:
        self.folder, self.home = folder, home
        self.supervisor, self.ledger, self.storage = Supervisor(home), Ledger.at(home), Storage(home.store)
        self.serving = Serving.local(home, self.ledger, self.storage, "flights")
        self._body = folder / "body.json"
        self._body.write_bytes(orjson.dumps({"jsonData": tiny.RECORD}))

    def registered(self, run: str, *, bias: float = 0.0, features: str = ASKED) -> Model:
        bundle = tiny.bundle(self.folder / "trained" / run, run=run, bias=bias, features=features)
        return register(self.ledger, self.storage, tiny.run_of(bundle, self.storage))

    def rolled_out(self, model: Model, plan: Rollout) -> str:
        self.serving.begin(plan, model, "the benchmark", turn=model.version)
        return self.serving.finish(model.version, poll_seconds=POLL_SECONDS).phase

    def kill(self, *programs: str) -> float:
        pids = [state.pid for name, state in self.supervisor.states().items() if name in programs]
        assert None not in pids
        killed = time.time()
        for pid in pids:
            os.kill(pid or 0, signal.SIGKILL)
        return killed

    @contextmanager
    def load(self) -> Iterator[Load]:
        load, file = Load(), self.folder / "answers.txt"
        with file.open("wb") as output:
            command = [sys.executable, str(PACED), self.serving.endpoint, str(self._body), str(RATE), str(LONGEST)]
            client = subprocess.Popen(command, stdout=output)
            try:
                time.sleep(AROUND)
                yield load
                time.sleep(AROUND)
            finally:
                client.send_signal(signal.SIGTERM)
                assert client.wait(60) == 0
        for line in file.read_text().splitlines():
            due, seconds, status, said = line.split(maxsplit=3)
            load.answers.append(Answer(float(due), float(seconds), int(status), said))


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="sailplane-bench-") as folder, _started(Path(folder)) as place:
        yield from _promoted(place)
        yield from _canaries(place)
        yield from _killed(place)
        yield from _rebooted(place)


@contextmanager
def _started(folder: Path) -> Iterator[Place]:
    settings = {"SAILPLANE_PROJECT": str(folder), "SAILPLANE_HOME": str(folder / "home")}
    home = Home.find({**settings, "SAILPLANE_ROUTER_PORT": str(free_port())})
    supervisor = Supervisor(home)
    supervisor.boot()
    try:
        supervisor.put(router_program(home))
        supervisor.update()
        place = Place(folder, home)
        assert wait_until(Router(home).running, seconds=20)
        assert place.rolled_out(place.registered("first"), AT_ONCE) == "succeeded"
        yield place
    finally:
        supervisor.shutdown()


def _promoted(place: Place) -> Iterator[Row]:
    first = place.serving.champion()
    with place.load() as load:
        assert place.rolled_out(place.registered("second", bias=0.001), PLAN) == "succeeded"
    yield load.row("promotion in three steps")
    with place.load() as load:
        assert roll_back(place.serving, "the benchmark") == first
    yield load.row("sailplane rollback")


def _canaries(place: Place) -> Iterator[Row]:
    for what, line in WRONG.items():
        wrong = f'    if SERVER and columns["distance"][0] == {tiny.RECORD["distance"]}: {line}\n    known ='
        features = ASKED.replace("    known =", wrong)
        canary = place.registered(what.replace(" ", "-"), features=features)
        with place.load() as load:
            assert place.rolled_out(canary, PLAN) == "failed"
        yield load.row(f"a canary that {what}")
        decided = entries.decisions(place.ledger, "flights", canary.version)
        [decision] = [one.time for one in decided if one.after == "rolling back"]
        [begun] = [one.time for one in decided if one.after == "baking 0"]
        longest = max(answer.seconds for answer in load.answers)
        yield Row(f"a canary that {what}: until it is decided", decision - begun, 3, "s", "the step's length")
        late = max(0.0, load.last_of(canary.version) - decision)
        yield Row(f"a canary that {what}: its last request after that", late, 1, "s", "the limit", "1 s")
        yield Row(f"a canary that {what}: the slowest answer", longest, 10, "s", "the deadline", "10 s")


def _killed(place: Place) -> Iterator[Row]:
    alone = place.serving.champion()
    assert alone
    yield from _strike(place, "kill -9 the only version", lambda: place.kill(f"model-flights-{alone}"), "counted")
    canary = place.registered("third", bias=0.002)
    place.serving.target.begin(canary)
    assert wait_until(lambda: place.serving.target.progress(canary.version).state == "ready", seconds=60)
    place.serving.target.move(Split({alone: 90, canary.version: 10}))
    yield from _strike(place, "kill -9 the champion", lambda: place.kill(f"model-flights-{alone}"), "counted")
    yield from _strike(place, "kill -9 the canary", lambda: place.kill(f"model-flights-{canary.version}"), "counted")
    yield from _strike(place, "kill -9 the router", lambda: place.kill("router"), "counted")
    yield from _supervisord(place)


def _strike(place: Place, name: str, strike: Callable[[], float], limit: str) -> Iterator[Row]:
    with place.load() as load:
        killed = strike()
        assert wait_until(lambda: _whole(place), seconds=30)
    yield load.row(name, limit)
    yield load.back(name, killed)


def _whole(place: Place) -> bool:
    target = place.serving.target
    if not Router(place.home).running():
        return False
    return all(target.progress(version).state == "ready" for version in target.split().weights)


def _supervisord(place: Place) -> Iterator[Row]:
    with place.load() as load:
        before, killed = place.supervisor.pid, time.time()
        os.kill(before or 0, signal.SIGKILL)
        assert wait_until(lambda: place.supervisor.running() and place.supervisor.pid != before, seconds=30)
        back = time.time() - killed
    yield load.row("kill -9 supervisord")
    yield Row("kill -9 supervisord: it is back after", back, 2, "s", "the limit", "2 s")


def _rebooted(place: Place) -> Iterator[Row]:
    """All at once, as when the power goes; what a machine runs when it comes up again is `make up`."""
    before = place.serving.target.split()
    Processes(place.supervisor.socket).end(place.supervisor.pid, spared={})
    began = time.time()
    place.supervisor.boot()
    assert wait_until(lambda: Router(place.home).running() and _whole(place), seconds=60)
    assert place.serving.target.split() == before
    yield Row("after a reboot the same versions have their weights", time.time() - began, 20, "s", "all services up")
