"""The model server compared with others, each with the same model, features and checks, and one process. `wrk` sends
requests to them in turn.

Ours runs alone and behind the router. The others are the original wrapper, MLServer, BentoML, LitServe, FastAPI, and a
bare ASGI application, which does not check requests. Airflow has made the model and is stopped during the load. Before
and after each load every server must answer several rows with the model's own scores."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil

from tests.benchmarks import verified
from tests.benchmarks.load import paced
from tests.benchmarks.memory import total
from tests.benchmarks.model_servers import Served, servers
from tests.benchmarks.row import Row

ROUNDS, SECONDS, RATE, RATE_SECONDS = 3, 5, 500, 20


def rows() -> Iterator[Row]:
    if not shutil.which("wrk"):
        raise SystemExit("bench serving: wrk is not installed. `apt-get install wrk`.")
    with tempfile.TemporaryDirectory(prefix="sailplane-bench-") as folder, ExitStack() as stack:
        started = servers(stack, Path(folder))
        served = [next(started), next(started)]
        # No other server runs, because it would wake up now and then.
        tails = list(_tails(*served, Path(folder)))
        served += started
        for _ in range(ROUNDS):
            for server in served:
                _load(server, Path(folder))
        yield from _speed({server.name: server for server in served})
        yield from tails


def _speed(servers: dict[str, Served]) -> Iterator[Row]:
    ours, rate = servers["ours"], "requests a second, 16 clients"
    limits = {"seldon-core-microservice": "10 times", "a bare ASGI application": ""}
    peers = [server for name, server in servers.items() if name not in ("ours", "through the router")]
    for peer in peers:
        got = _middle(ours.rates), _middle(peer.rates)
        yield Row(rate, *got, "1/s", peer.name, limits.get(peer.name, "3 times"))
    routed = servers["through the router"]
    yield Row(f"{rate}, through the router", _middle(routed.rates), _middle(ours.rates), "1/s", "without it")
    bare = servers["a bare ASGI application"]
    yield Row("CPU a request, 16 clients", _middle(ours.cpu), _middle(bare.cpu), "us", bare.name, "1.3 times")
    wrapper = servers["seldon-core-microservice"]
    yield Row("memory of a version (PSS)", _memory(ours), _memory(wrapper), "MB", wrapper.name, "300 MB")


def _tails(ours: Served, routed: Served, folder: Path) -> Iterator[Row]:
    """The limit is KServe's published figure for its own server, on other machines."""
    for rate in (RATE, 2 * RATE):
        through, direct = (_p99(server, rate, folder) for server in (routed, ours))
        yield Row(f"p99 at {rate} requests a second, through the router", through, direct, "ms", "without it", "2.2 ms")


def _p99(server: Served, rate: int, folder: Path) -> float:
    server.verify()
    answers = paced(server.url, server.questions[0].body, rate, RATE_SECONDS, folder)
    server.verify()
    if failed := [answer for answer in answers if answer.status != 200]:
        raise verified.UnverifiedError(f"{server.name}: {len(failed)} of {len(answers)} requests failed: {failed[0]}")
    seconds = sorted(answer.seconds for answer in answers)
    return seconds[int(len(seconds) * 0.99)] * 1000


def _middle(values: list[float]) -> float:
    return statistics.median(values)


def _memory(server: Served) -> float:
    return total(_family(server))


def _family(server: Served) -> list[psutil.Process]:
    return [server.process, *server.process.children(recursive=True)]


def _load(server: Served, folder: Path) -> None:
    script = folder / "wrk.lua"
    body = json.dumps(json.dumps(server.questions[0].body))
    script.write_text(f'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\nwrk.body = {body}\n')
    server.verify()
    before = _cpu(server)
    command = ["wrk", "-t1", "-c16", f"-d{SECONDS}s", "-s", str(script), server.url]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    used, loaded = _cpu(server) - before, verified.load(server.name, said)
    server.verify()
    server.rates.append(loaded.rate)
    server.cpu.append(used / loaded.requests * 1e6)


def _cpu(server: Served) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in _family(server))
