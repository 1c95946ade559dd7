"""Large bodies at a model server: its peak memory, the wait of good requests meanwhile, and the memory held afterwards.

Forty bad bodies of 13 MB whose senders leave, and 32 valid ones of 10 MB, go to the server itself and through the
router. Meanwhile 50 good requests a second go through the router."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from sailplane.deployment.local.model_process import ENVIRONMENT
from tests.benchmarks.load import Answer, begun
from tests.benchmarks.row import Row
from tests.integration.deployment import flights
from tests.integration.deployment.routed import router_of
from tests.integration.serving.model_server import Server, running

CLIENT = Path(__file__).parent / "clients" / "bodies.py"
RATE, QUIET_SECONDS, SETTLED_SECONDS = 50, 4.0, 10.0
# Allowed above the previous memory, for code that the first large request loads.
MARGIN_MB = 30
MB = 1e6


@dataclass
class Place:
    folder: Path
    server: Server
    router: psutil.Process
    url: str

    @property
    def direct(self) -> str:
        return f"http://127.0.0.1:{self.server.port}/predict"

    def resident(self) -> float:
        return psutil.Process(self.server.process.pid).memory_info().rss / MB

    def clear_peak(self) -> None:
        for process in (self.server.process.pid, self.router.pid):
            Path(f"/proc/{process}/clear_refs").write_text("5")

    def peak(self) -> float:
        """Returns the most resident MB since `clear_peak`."""
        return _peak(self.server.process.pid)


@dataclass
class Load:
    """The figures of one load. `before`, `peak` and `after` are resident MB. `back` is the number of seconds until the
    memory was back within the margin. `good` are the good requests from the first large body until then, `quiet` those
    before."""

    before: float
    peak: float
    after: float
    back: float
    router_peak: float
    statuses: dict[str, int]
    good: list[Answer]
    quiet: list[Answer]

    @property
    def p99(self) -> float:
        return p99(self.good)

    @property
    def failed(self) -> int:
        return sum(answer.status != 200 for answer in self.good)


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="sailplane-bench-") as folder, served(Path(folder)) as place:
        bad, good = flights.bad_bodies(13_000_000), flights.body(10_000_000)
        place.folder.joinpath("good").write_bytes(good)
        for number, (what, body) in enumerate(bad.items()):
            place.folder.joinpath(f"bad-{number}").write_bytes(body)
            yield from _figures(f"40 x 13 MB, bad by {what}", loaded(place, place.direct, f"bad-{number}", 40, "leave"))
        yield from _figures("40 x 13 MB, routed", loaded(place, place.url, "bad-0", 40, "leave"))
        yield from _figures("32 x 10 MB", loaded(place, place.direct, "good", 32, "stay"))
        yield from _figures("32 x 10 MB, routed", loaded(place, place.url, "good", 32, "stay"))


def _figures(name: str, load: Load) -> Iterator[Row]:
    sys.stderr.write(f"{name}: {load.statuses}, load average {os.getloadavg()[0]:.1f}\n")
    yield Row(f"{name}: peak", load.peak, 400, "MB", "the limit", "400 MB")
    yield Row(f"{name}: peak of the router", load.router_peak, load.peak, "MB", "the server's")
    yield Row(f"{name}: good requests' p99", load.p99, 250, "ms", "the limit", "250 ms")
    yield Row(f"{name}: good requests' p99, before", p99(load.quiet), 250, "ms", "the limit")
    yield Row(f"{name}: good requests that failed", load.failed, len(load.good), "requests", "all of them", "0")
    yield Row(f"{name}: held 10 s after", load.after, load.before, "MB", "before", f"before + {MARGIN_MB}")
    yield Row(f"{name}: back within", load.back, SETTLED_SECONDS, "s", "the limit", "10 s")


@contextmanager
def served(folder: Path) -> Iterator[Place]:
    """Starts the server as `deploy` does, with its log, and a router in front of it."""
    bundle = flights.bundle(folder / "bundle")
    arguments = ("--request-log", str(folder / "requests"))
    with (
        running(bundle.folder, folder / "log", *arguments, environment=ENVIRONMENT) as server,
        router_of(folder, server, bundle.version) as (port, router),
    ):
        url = f"http://127.0.0.1:{port}/seldon/local/flights/api/v1.0/predictions"
        place = Place(folder, server, router, url)
        place.folder.joinpath("warm").write_bytes(flights.body(200_000))
        _sent(place, url, "warm", 2, "stay")
        yield place


def loaded(
    place: Place,
    url: str,
    file: str,
    count: int,
    manner: str,
    quiet: float = QUIET_SECONDS,
    settle: float = SETTLED_SECONDS,
) -> Load:
    """Loads the server with `count` simultaneous requests with this file."""

    return measured(place, lambda: _sent(place, url, file, count, manner), quiet, settle)


def measured(
    place: Place,
    send: Callable[[], dict[str, int]],
    quiet_seconds: float = QUIET_SECONDS,
    settle_seconds: float = SETTLED_SECONDS,
) -> Load:
    """Measures a load. `send` returns how many requests got which status. Only good requests come before it, and for
    `settle_seconds` after it."""
    before, answers = place.resident(), list[Answer]()
    place.clear_peak()
    with begun(place.url, flights.message(), RATE, 600, place.folder, answers):
        time.sleep(quiet_seconds)
        first = time.time()
        statuses = send()
        ended = time.monotonic()
        while place.resident() > before + MARGIN_MB and time.monotonic() < ended + 60:
            time.sleep(0.1)
        back, last = time.monotonic() - ended, time.time() + 1
        time.sleep(max(0.5, settle_seconds - back))
    peaks = place.peak(), _peak(place.router.pid)
    during = [answer for answer in answers if first <= answer.began <= last]
    quiet = [answer for answer in answers if answer.began < first]
    return Load(before, peaks[0], place.resident(), back, peaks[1], statuses, during, quiet)


def p99(answers: list[Answer]) -> float:
    return percentile(answers, 0.99)


def percentile(answers: list[Answer], part: float) -> float:
    """Returns the percentile in milliseconds."""
    seconds = sorted(answer.seconds for answer in answers)
    return seconds[int(len(seconds) * part)] * 1000


def _sent(place: Place, url: str, file: str, count: int, manner: str) -> dict[str, int]:
    command = [sys.executable, str(CLIENT), url, str(place.folder / file), str(count), manner]
    said = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=300).stdout
    return dict(json.loads(said))


def _peak(pid: int) -> float:
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024 / MB
