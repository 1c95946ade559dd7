"""The model server beside others, each with the same model, features and checks, one process; `wrk` asks them in turn.

Ours alone and through the router; the original wrapper, MLServer, BentoML, LitServe, FastAPI, and a bare ASGI
application, which does not check what it is sent. Airflow has made the model, and is stopped while they are asked."""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from sailplane.records import Deployment
from sailplane.registry.bundle import Bundle
from sailplane.services.launch import AIRFLOW
from sailplane.supervisor import Supervisor
from tests.benchmarks.load import paced
from tests.benchmarks.memory import total
from tests.benchmarks.peers import peer_python
from tests.benchmarks.row import Row
from tests.environments import kept_environment
from tests.integration.serving.seldon_server import parameters, seldon_server
from tests.platform import Platform, started
from tests.ports import free_port

PROJECT = Path(__file__).parents[2]
SERVERS = Path(__file__).parent / "clients" / "servers"
ROUNDS, SECONDS, RATE, RATE_SECONDS = 3, 5, 500, 20
THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
FLIGHT = {"window": 196, "trials": 1, "workers": 1}
# What the peers need beside themselves to open a bundle.
OPENS = ("numpy", "onnxruntime", "orjson", "uvloop", "httptools")


@dataclass
class Served:
    """A server under test. `process` is the first of its family, and None where that belongs to the platform."""

    name: str
    url: str
    body: dict[str, Any]
    process: psutil.Process
    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def rows() -> Iterator[Row]:
    if not shutil.which("wrk"):
        raise SystemExit("bench serving: wrk is not installed. `apt-get install wrk`.")
    with tempfile.TemporaryDirectory(prefix="sailplane-bench-") as folder, ExitStack() as stack:
        served = _servers(stack, Path(folder))
        servers = [next(served), next(served)]
        # With no other server beside it, which would wake up now and then.
        tails = list(_tails(servers[1], Path(folder)))
        servers += served
        for _ in range(ROUNDS):
            for server in servers:
                _load(server, Path(folder))
        yield from _speed({server.name: server for server in servers})
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


def _tails(routed: Served, folder: Path) -> Iterator[Row]:
    for rate in (RATE, 2 * RATE):
        answers = paced(routed.url, routed.body, rate, RATE_SECONDS, folder)
        assert {answer.status for answer in answers} == {200}
        seconds = sorted(answer.seconds for answer in answers)
        p99 = seconds[int(len(seconds) * 0.99)] * 1000
        yield Row(f"p99 at {rate} requests a second, through the router", p99, 2.2, "ms", "KServe's published figure")


def _middle(values: list[float]) -> float:
    return statistics.median(values)


def _memory(server: Served) -> float:
    return total(_family(server))


def _family(server: Served) -> list[psutil.Process]:
    return [server.process, *server.process.children(recursive=True)]


def _load(server: Served, folder: Path) -> None:
    script = folder / "wrk.lua"
    body = json.dumps(json.dumps(server.body))
    script.write_text(f'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\nwrk.body = {body}\n')
    before = _cpu(server)
    command = ["wrk", "-t1", "-c16", f"-d{SECONDS}s", "-s", str(script), server.url]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in said, f"{server.name}: {said}"
    [count] = re.findall(r"(\d+) requests in", said)
    [rate] = re.findall(r"Requests/sec:\s+([\d.]+)", said)
    server.rates.append(float(rate))
    server.cpu.append((_cpu(server) - before) / int(count) * 1e6)


def _cpu(server: Served) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in _family(server))


def _servers(stack: ExitStack, folder: Path) -> Iterator[Served]:
    platform = stack.enter_context(started(folder / "home", PROJECT))
    run = platform.trigger("flights", FLIGHT)
    assert platform.wait(run) == "success"
    deployment = Deployment.from_dict(platform.xcom(run, "deploy"))
    bundle = Bundle.open(platform.home.serving / "models" / "flights" / deployment.version)
    # A whole row: the bare application does not know of null.
    record = {name: 1 if value is None else value for name, value in bundle.golden_records[0].items()}
    seldon = {"data": {"names": list(record), "ndarray": [list(record.values())]}}
    ours = _model_server(platform, deployment)
    for service in AIRFLOW:
        Supervisor(platform.home).stop(service)
    yield Served("ours", f"{ours[1]}/predict", seldon, ours[0])
    yield Served("through the router", deployment.endpoint, seldon, ours[0])
    for name, command, env, path, body in _peers(folder, bundle, seldon):
        url, process = stack.enter_context(_running(name, command, env, path, body, folder))
        yield Served(name, url, body, process)


def _model_server(platform: Platform, deployment: Deployment) -> tuple[psutil.Process, str]:
    services = json.loads(platform.sailplane("status", "--json").stdout)["services"]
    [server] = [one for one in services if one["name"] == f"model-flights-{deployment.version}"]
    return psutil.Process(server["pid"]), server["url"]


def _peers(
    folder: Path, bundle: Bundle, seldon: dict[str, Any]
) -> Iterator[tuple[str, list[str], dict[str, str], str, Any]]:
    env = {**THREADS, "BUNDLE": str(bundle.folder), "PYTHONPATH": f"{PROJECT / 'plugins'}:{SERVERS}"}
    yield "a bare ASGI application", [sys.executable, str(SERVERS / "bare.py"), "PORT"], env, "/", seldon
    yield "FastAPI", [sys.executable, str(SERVERS / "with_fastapi.py"), "PORT"], env, "/predict", seldon
    python = _with("litserve")
    yield "LitServe", [python, str(SERVERS / "with_litserve.py"), "PORT"], env, "/predict", seldon
    bento = str(Path(_with("bentoml")).with_name("bentoml"))
    serve = [bento, "serve", "with_bentoml:Model", "--port", "PORT"]
    yield "BentoML", serve, {**env, "BENTOML_DO_NOT_TRACK": "1"}, "/predict", {"message": seldon}
    ml = _mlserver(folder)
    yield "MLServer", ml, env, "/v2/models/flights/infer", _tensors(bundle, seldon)
    wrapper = kept_environment(
        PROJECT / "docker" / "seldon" / "requirements.txt", shutil.which("python3.11") or sys.executable
    )
    yield "seldon-core-microservice", [str(wrapper)], parameters(bundle.folder), "/predict", seldon


def _with(package: str) -> str:
    """The Python of an environment with a peer and what a bundle needs."""
    return peer_python(package, *OPENS)


def _mlserver(folder: Path) -> list[str]:
    settings = {"name": "flights", "implementation": "with_mlserver.Model"}
    (folder / "mlserver").mkdir()
    (folder / "mlserver" / "model-settings.json").write_text(json.dumps(settings))
    return [str(Path(_with("mlserver")).with_name("mlserver")), "start", str(folder / "mlserver")]


def _tensors(bundle: Bundle, seldon: dict[str, Any]) -> dict[str, Any]:
    kinds = {"number": "FP64", "integer": "INT64", "string": "BYTES", "boolean": "BOOL", "timestamp": "BYTES"}
    values = dict(zip(seldon["data"]["names"], seldon["data"]["ndarray"][0], strict=True))
    tensors = [
        {"name": one.name, "shape": [1], "datatype": kinds[one.kind], "data": [values[one.name]]}
        for one in bundle.manifest.inputs
    ]
    return {"inputs": tensors}


@contextmanager
def _running(
    name: str, command: list[str], env: dict[str, str], path: str, body: Any, folder: Path
) -> Iterator[tuple[str, psutil.Process]]:
    port, log = free_port(), folder / f"{name}.log"
    url = f"http://127.0.0.1:{port}{path}"
    if name == "seldon-core-microservice":
        process = seldon_server(Path(command[0]), log, port, **env)
    else:
        ports = {"MLSERVER_HTTP_PORT": str(port), "MLSERVER_GRPC_PORT": str(free_port())}
        ports |= {
            "MLSERVER_METRICS_PORT": str(free_port()),
            "MLSERVER_PARALLEL_WORKERS": "0",
            "MLSERVER_DEBUG": "false",
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(port) if part == "PORT" else part for part in command],
                env={**os.environ, **ports, **env},
                cwd=SERVERS,
                stdout=output,
                stderr=output,
            )
    try:
        _wait(url, body, process, log)
        yield url, psutil.Process(process.pid)
    finally:
        if process.poll() is None:
            for one in [*psutil.Process(process.pid).children(recursive=True), process]:
                one.kill()
        process.wait()


def _wait(url: str, body: Any, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        try:
            if httpx.post(url, json=body, trust_env=False, timeout=10).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
