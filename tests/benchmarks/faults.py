"""The answers to clients while versions change and processes are killed, at 500 requests a second through the router.

It runs a small model over arrays, supervisord, the router and the model servers with their log, without Airflow."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from sailplane.commands.rollback import roll_back
from sailplane.deployment.envoy.router import Router, router_program
from sailplane.deployment.http_client import wait_until
from sailplane.deployment.rollout import records
from sailplane.deployment.rollout.check_specs import ErrorRate, Latency
from sailplane.deployment.rollout.plan import Rollout
from sailplane.deployment.rollout.run import POLL_SECONDS, ModelEndpoint
from sailplane.deployment.target import TrafficSplit
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Model
from sailplane.registry.models import register
from sailplane.storage import Storage
from sailplane.supervisor import Supervisor
from sailplane.supervisor.processes import Processes
from tests.benchmarks.load import Answer, begun
from tests.benchmarks.row import Row
from tests.ports import free_port
from tests.small_disk import SmallDisk, disks
from tests.unit.bundles import tiny

ASKS = {"jsonData": tiny.RECORD}
RATE, LONGEST, AROUND = 500, 120, 2.0
Disk = Callable[[Path], AbstractContextManager[SmallDisk]]
PLAN = Rollout(steps=[10, 50, 100], bake="3s", checks=[ErrorRate(), Latency(p99="250ms")])
# A model that scores its golden rows correctly, but fails on requests.
ASKED = 'import __main__\nSERVER = "serving.server" in str(getattr(__main__, "__spec__", ""))\n' + tiny.COLUMNS
WRONG = {
    "answers NaN": 'columns = {**columns, "distance": columns["distance"] * np.nan}',
    "fails": 'raise KeyError("distance")',
    "takes 2 s": "import time; time.sleep(2)",
}


@dataclass
class Load:
    answers: list[Answer] = field(default_factory=list)

    def row(self, name: str, limit: str = "0") -> Row:
        """Returns the row of the failed requests."""
        failed = [answer for answer in self.answers if answer.status != 200]
        for said in sorted({f"{answer.status} {answer.said}" for answer in failed}):
            sys.stderr.write(f"{name}: {said}\n")
        return Row(f"{name}: failed", len(failed), len(self.answers), "requests", "all that were asked", limit)

    def back(self, name: str, killed: float) -> Row:
        """Returns the seconds until the last failed request had begun."""
        last = max((answer.began for answer in self.answers if answer.status != 200), default=killed)
        return Row(f"{name}: answers again after", last - killed, 2, "s", "the limit", "2 s")

    def last_of(self, version: str) -> float:
        """Returns when the last request began that this version answered."""
        return max((answer.began for answer in self.answers if answer.said == version), default=0.0)


class Place:
    """A home in which a model is served, at first in one version."""

    def __init__(self, folder: Path, home: Home) -> None:
        self.folder, self.home = folder, home
        self.disk: SmallDisk | None = None
        self.supervisor, self.ledger, self.storage = Supervisor(home), Ledger.create(home.ledger), Storage(home.store)
        self.serving = ModelEndpoint.local(home, self.ledger, self.storage, "flights")

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
        load = Load()
        with begun(self.serving.endpoint, ASKS, RATE, LONGEST, self.folder, load.answers):
            time.sleep(AROUND)
            yield load
            time.sleep(AROUND)


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="sailplane-bench-") as folder, _started(Path(folder)) as place:
        yield from _promoted(place)
        yield from _canaries(place)
        yield from _killed(place)
        yield from _rebooted(place)
        yield from _overloaded(place)
    for way in disks()[:1]:
        with tempfile.TemporaryDirectory(prefix="sailplane-bench-") as folder, _started(Path(folder), way) as place:
            yield from _full_disk(place)


@contextmanager
def _started(folder: Path, disk: Disk | None = None) -> Iterator[Place]:
    """Starts a home. `disk` holds the log of requests."""
    settings = {"SAILPLANE_PROJECT": str(folder), "SAILPLANE_HOME": str(folder / "home")}
    home = Home.find({**settings, "SAILPLANE_ROUTER_PORT": str(free_port())})
    supervisor = Supervisor(home)
    supervisor.boot()
    small = disk(home.requests) if disk else nullcontext()
    try:
        supervisor.put(router_program(home))
        supervisor.update()
        place = Place(folder, home)
        assert wait_until(Router(home).running, seconds=20)
        with small as place.disk:
            place.serving.deploy(place.registered("first"), "the benchmark")
            yield place
            supervisor.shutdown()
    finally:
        supervisor.shutdown()


def _promoted(place: Place) -> Iterator[Row]:
    first = place.serving.champion()
    with place.load() as load:
        assert place.rolled_out(place.registered("second", bias=0.001), PLAN) == "succeeded"
    yield load.row("promotion in three steps")
    with place.load() as load:
        assert roll_back(place.serving, "the benchmark", hold=False) == first
    yield load.row("sailplane rollback")


def _canaries(place: Place) -> Iterator[Row]:
    for what, line in WRONG.items():
        wrong = f'    if SERVER and columns["distance"][0] == {tiny.RECORD["distance"]}: {line}\n    known ='
        features = ASKED.replace("    known =", wrong)
        canary = place.registered(what.replace(" ", "-"), features=features)
        with place.load() as load:
            assert place.rolled_out(canary, PLAN) == "failed"
        yield load.row(f"a canary that {what}")
        decided = records.decisions(place.ledger, "flights", canary.version)
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
    place.serving.target.move(TrafficSplit({alone: 90, canary.version: 10}))
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
    """Kills everything at once, like a power failure. A machine runs `make up` when it starts again."""
    before = place.serving.target.split()
    Processes(place.supervisor.socket).end(place.supervisor.pid, spared={})
    began = time.time()
    place.supervisor.boot()
    assert wait_until(lambda: Router(place.home).running() and _whole(place), seconds=60)
    assert place.serving.target.split() == before
    yield Row("after a reboot the same versions have their weights", time.time() - began, 20, "s", "all services up")


def _full_disk(place: Place) -> Iterator[Row]:
    assert place.disk
    with place.load() as load, place.disk.full(leave=0):
        time.sleep(5)
    yield load.row("a full disk under the log of the requests")


def _overloaded(place: Place) -> Iterator[Row]:
    """Sends five times as many requests as the model can answer, which is 100 rows a second."""
    for version in place.serving.target.split().weights:
        place.serving.target.move(TrafficSplit({version: 100}))
    features = ASKED.replace("    known =", '    import time; time.sleep(0.01 * len(columns["distance"]))\n    known =')
    place.serving.deploy(place.registered("slow", features=features), "the benchmark")
    with place.load() as load:
        time.sleep(20)
    name, whole = "five times saturation", {200, 503}
    odd = [answer for answer in load.answers if answer.status not in whole]
    yield Row(f"{name}: neither answered nor refused", len(odd), len(load.answers), "requests", "all asked", "0")
    last = load.answers[-1].began
    answered = [answer for answer in load.answers if answer.status == 200]
    refused = sorted(answer.seconds for answer in load.answers if answer.status == 503)
    rate = sum(answer.began < last for answer in answered) / (last - load.answers[0].began)
    yield Row(f"{name}: answered", rate, 100, "1/s", "what the model can do")
    yield Row(
        f"{name}: the slowest answer", max(answer.seconds for answer in answered), 10, "s", "the deadline", "10 s"
    )
    yield Row(f"{name}: refused after, median", refused[len(refused) // 2] * 1000, 10_000, "ms", "the deadline")
