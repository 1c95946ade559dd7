"""Model servers with the same model, features and checks: how to start and call each server, and the answers that it
must give."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from sailplane.bundles.bundle import Bundle
from sailplane.records import Deployment
from sailplane.services.environment import AIRFLOW
from sailplane.supervisor import Supervisor
from tests.benchmarks import verified
from tests.benchmarks.peers import peer_python
from tests.benchmarks.verified import Question
from tests.environments import kept_environment
from tests.integration.serving.seldon_server import parameters, seldon_server
from tests.platform import Platform, started
from tests.ports import free_port

PROJECT = Path(__file__).parents[2]
SERVERS = Path(__file__).parent / "clients" / "servers"
THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
FLIGHT = {"window": 196, "trials": 1, "workers": 1}
# The packages that peers need to open a bundle, besides their own.
OPENS = ("msgspec", "numpy", "onnxruntime", "orjson", "uvloop", "httptools")
# Rows that each server must score before and after each load.
ROWS = 8
# Each protocol's request for a row, and the place of the scores in an answer.
Form = Callable[[Bundle, dict[str, Any]], dict[str, Any]]
Read = Callable[[Any], Any]


@dataclass
class Served:
    """A server under test. `process` is the root of its processes; for the router it is the model server's."""

    name: str
    url: str
    questions: list[Question]
    read: Read
    process: psutil.Process
    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def verify(self) -> None:
        verified.scores(self.name, self.url, self.questions, self.read)


@dataclass(frozen=True)
class Peer:
    """The ways to start and call a server."""

    name: str
    command: list[str]
    env: dict[str, str]
    path: str
    form: Form
    read: Read


def servers(stack: ExitStack, folder: Path) -> Iterator[Served]:
    platform = stack.enter_context(started(folder / "home", PROJECT))
    run = platform.trigger("flights", FLIGHT)
    assert platform.wait(run) == "success"
    deployment = Deployment.from_dict(platform.xcom(run, "deploy"))
    bundle = Bundle.open(platform.home.serving / "models" / "flights" / deployment.version)
    rows, ours = _rows_of(bundle), _model_server(platform, deployment)
    for service in AIRFLOW:
        Supervisor(platform.home).stop(service)
    questions = _questions(bundle, rows, _seldon)
    yield Served("ours", f"{ours[1]}/predict", questions, _of_seldon, ours[0])
    yield Served("through the router", deployment.endpoint, questions, _of_seldon, ours[0])
    for peer in _peers(folder, bundle):
        questions = _questions(bundle, rows, peer.form)
        url, process = stack.enter_context(_running(peer, questions[0].body, folder))
        yield Served(peer.name, url, questions, peer.read, process)


def _rows_of(bundle: Bundle) -> list[dict[str, Any]]:
    """Returns rows without missing values, because the bare application has no null."""
    records = bundle.golden_records[:ROWS]
    return [{name: 1 if value is None else value for name, value in record.items()} for record in records]


def _questions(bundle: Bundle, rows: list[dict[str, Any]], form: Form) -> list[Question]:
    """Returns the questions with the scores of the bundle, opened in this process."""
    scores = bundle.requested(rows)
    return [Question(form(bundle, row), [float(score)]) for row, score in zip(rows, scores.ravel(), strict=True)]


def _seldon(_bundle: Bundle, row: dict[str, Any]) -> dict[str, Any]:
    return {"data": {"names": list(row), "ndarray": [list(row.values())]}}


def _of_seldon(answer: Any) -> Any:
    return answer["data"]["ndarray"]


def _model_server(platform: Platform, deployment: Deployment) -> tuple[psutil.Process, str]:
    services = json.loads(platform.sailplane("status", "--json").stdout)["services"]
    [server] = [one for one in services if one["name"] == f"model-flights-{deployment.version}"]
    return psutil.Process(server["pid"]), server["url"]


def _peers(folder: Path, bundle: Bundle) -> Iterator[Peer]:
    """Yields the peers, each with one computing process, like ours. The sources of the settings are in
    clients/servers."""
    env = {**THREADS, "BUNDLE": str(bundle.folder), "PYTHONPATH": f"{PROJECT / 'plugins'}:{SERVERS}"}
    bare, fastapi = ([sys.executable, str(SERVERS / name), "PORT"] for name in ("bare.py", "with_fastapi.py"))
    yield Peer("a bare ASGI application", bare, env, "/", _seldon, _of_seldon)
    yield Peer("FastAPI", fastapi, env, "/predict", _seldon, _of_seldon)
    litserve = [_with("litserve"), str(SERVERS / "with_litserve.py"), "PORT"]
    yield Peer("LitServe", litserve, env, "/predict", _seldon, _of_seldon)
    bento = str(Path(_with("bentoml")).with_name("bentoml"))
    serve = [bento, "serve", "with_bentoml:Model", "--port", "PORT"]
    untracked = {**env, "BENTOML_DO_NOT_TRACK": "1"}
    yield Peer("BentoML", serve, untracked, "/predict", lambda *row: {"message": _seldon(*row)}, _of_seldon)
    yield Peer("MLServer", _mlserver(folder), env, "/v2/models/flights/infer", _tensors, _of_tensors)
    wrapper = kept_environment(
        PROJECT / "docker" / "seldon" / "requirements.txt", shutil.which("python3.11") or sys.executable
    )
    # One worker, like ours, with the eight threads of our image of it.
    # https://docs.seldon.ai/seldon-core-1/configuration/wrappers-and-sdks/python-language-wrapper/python_server
    env = parameters(bundle.folder)
    yield Peer("seldon-core-microservice", [str(wrapper)], env, "/predict", _seldon, _of_seldon)


def _with(package: str) -> str:
    """Returns the Python of an environment with a peer and the packages that a bundle needs."""
    return peer_python(package, *OPENS)


def _mlserver(folder: Path) -> list[str]:
    settings = {"name": "flights", "implementation": "with_mlserver.Model"}
    (folder / "mlserver").mkdir()
    (folder / "mlserver" / "model-settings.json").write_text(json.dumps(settings))
    return [str(Path(_with("mlserver")).with_name("mlserver")), "start", str(folder / "mlserver")]


def _tensors(bundle: Bundle, row: dict[str, Any]) -> dict[str, Any]:
    kinds = {"number": "FP64", "integer": "INT64", "string": "BYTES", "boolean": "BOOL", "timestamp": "BYTES"}
    tensors = [
        {"name": one.name, "shape": [1], "datatype": kinds[one.kind], "data": [row[one.name]]}
        for one in bundle.manifest.inputs
    ]
    return {"inputs": tensors}


def _of_tensors(answer: Any) -> Any:
    return answer["outputs"][0]["data"]


@contextmanager
def _running(peer: Peer, body: Any, folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    port, log = free_port(), folder / f"{peer.name}.log"
    url = f"http://127.0.0.1:{port}{peer.path}"
    if peer.name == "seldon-core-microservice":
        process = seldon_server(Path(peer.command[0]), log, port, **peer.env)
    else:
        ports = {"MLSERVER_HTTP_PORT": str(port), "MLSERVER_GRPC_PORT": str(free_port())}
        ports |= {
            "MLSERVER_METRICS_PORT": str(free_port()),
            # Without a pool, requests to the model use no queue, which is faster for one model.
            # https://docs.seldon.ai/mlserver/user-guide/parallel-inference
            "MLSERVER_PARALLEL_WORKERS": "0",
            "MLSERVER_DEBUG": "false",
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(port) if part == "PORT" else part for part in peer.command],
                env={**os.environ, **ports, **peer.env},
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
