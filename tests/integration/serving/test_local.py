from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from sailplane.errors import DeploymentError
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Deployment, Model
from sailplane.registry.columns import plain_records
from sailplane.registry.models import alias, fetch
from sailplane.serving import deployments
from sailplane.serving.client import call, wait_until
from sailplane.serving.local import deploy
from sailplane.serving.model_process import ModelProcess
from sailplane.serving.router import Router, router_program
from sailplane.storage import Storage
from sailplane.supervisor import Supervisor
from tests.ports import free_port
from tests.unit.registry import tiny

Registered = Callable[..., Model]
RECORD = {"jsonData": tiny.RECORD}


def served_version(home: Home) -> str | None:
    return call(home.router_port, "POST", "/seldon/local/flights/api/v1.0/predictions", RECORD).version


def pid_of(supervisor: Supervisor, model: Model) -> int | None:
    return supervisor.states()[f"model-{model.name}-{model.version}"].pid


class Client(threading.Thread):
    """Sends one request after the other over kept connections until it is told to stop."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url, self._ended = url, threading.Event()
        self.failed: list[str] = []
        self.versions: list[str] = []

    def run(self) -> None:
        with httpx.Client() as client:
            while not self._ended.is_set():
                reply = client.post(self._url, json=RECORD)
                if reply.status_code != 200:
                    self.failed.append(reply.text)
                self.versions.append(reply.headers.get("x-sailplane-version", ""))

    def stop(self) -> None:
        self._ended.set()
        self.join()


def test_a_deployed_model_scores_over_http_as_its_bundle_does(
    platform: Home, ledger: Ledger, storage: Storage, registered: Registered, tmp_path: Path
) -> None:
    model = registered("run-1")
    deployment = deploy(platform, ledger, storage, model)
    bundle = fetch(storage, model, tmp_path / "copy")
    rows = tiny.frame(300, seed=11)
    records = plain_records(rows, tiny.INPUTS)
    expected = bundle.predict(rows)
    with httpx.Client() as client:
        body = {"data": {"names": list(records[0]), "ndarray": [list(record.values()) for record in records]}}
        answer = client.post(deployment.endpoint, json=body)
        np.testing.assert_array_equal(np.float32(answer.json()["data"]["ndarray"]), expected)
        one_by_one = [client.post(deployment.endpoint, json={"jsonData": record}).json() for record in records[:50]]
        scores = [answer["data"]["ndarray"][0] for answer in one_by_one]
        np.testing.assert_allclose(scores, expected[:50], atol=1e-6)
    assert answer.headers["x-sailplane-version"] == model.version
    assert deployments(ledger) == [deployment]
    assert deployment.weights == {model.version: 100}
    assert alias(ledger, "flights", "champion") == model


def test_deploying_what_is_served_changes_nothing(
    platform: Home, supervisor: Supervisor, ledger: Ledger, storage: Storage, registered: Registered
) -> None:
    model = registered("run-1")
    first = deploy(platform, ledger, storage, model)
    before, files = pid_of(supervisor, model), _files(platform)
    assert deploy(platform, ledger, storage, model) == first
    assert pid_of(supervisor, model) == before
    assert _files(platform) == files


def test_no_request_fails_while_versions_change(
    platform: Home, supervisor: Supervisor, ledger: Ledger, storage: Storage, registered: Registered
) -> None:
    models = [registered(f"run-{n}", bias=n / 10) for n in range(3)]
    deployment = deploy(platform, ledger, storage, models[0])
    clients = [Client(deployment.endpoint) for _ in range(2)]
    for client in clients:
        client.start()
    try:
        for model in models[1:]:
            deploy(platform, ledger, storage, model)
    finally:
        for client in clients:
            client.stop()
    assert [client.failed for client in clients] == [[], []]
    for client in clients:
        assert list(dict.fromkeys(client.versions))[:1] == [models[0].version]
        assert client.versions[-1] in {models[1].version, models[2].version}
    assert served_version(platform) == models[2].version
    assert set(supervisor.states()) == {"router", f"model-flights-{models[2].version}"}
    assert list(Router(platform).ports()) == [("flights", models[2].version)]
    assert [path.name for path in (platform.serving / "models" / "flights").iterdir()] == [models[2].version]


FAILS_IN_THE_SERVER = tiny.FEATURES.replace(
    "import numpy as np",
    'import sys\nimport numpy as np\nif "sailplane.serving.server" in sys.orig_argv: raise ValueError("no luck")',
)
OTHER_SCORES_IN_THE_SERVER = tiny.FEATURES.replace(
    '/ state["distance"]', '/ state["distance"] * (1 + ("sailplane.serving.server" in sys.orig_argv))'
).replace("import numpy as np", "import sys\nimport numpy as np")


@pytest.mark.parametrize(
    ("features", "reason"), [(FAILS_IN_THE_SERVER, "no luck"), (OTHER_SCORES_IN_THE_SERVER, "off by up to")]
)
def test_a_broken_bundle_gets_no_traffic_and_leaves_nothing(
    platform: Home,
    supervisor: Supervisor,
    ledger: Ledger,
    storage: Storage,
    registered: Registered,
    features: str,
    reason: str,
) -> None:
    good, broken = registered("run-1"), registered("run-2", features=features)
    deploy(platform, ledger, storage, good)
    before, pid = _files(platform), pid_of(supervisor, good)
    with pytest.raises(DeploymentError, match=reason):
        deploy(platform, ledger, storage, broken)
    assert served_version(platform) == good.version
    assert pid_of(supervisor, good) == pid
    assert set(supervisor.states()) == {"router", f"model-flights-{good.version}"}
    assert _files(platform) == before
    assert alias(ledger, "flights", "champion") == good
    better = registered("run-3", bias=0.3)
    assert deploy(platform, ledger, storage, better).version == better.version


def test_a_ledger_that_fails_gives_the_traffic_back(
    platform: Home, supervisor: Supervisor, ledger: Ledger, storage: Storage, registered: Registered
) -> None:
    old, new = registered("run-1"), registered("run-2", bias=0.2)
    deploy(platform, ledger, storage, old)
    with sqlite3.connect(platform.root / "ledger.db") as database:
        database.execute("CREATE TRIGGER full BEFORE INSERT ON deployments BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    database.close()
    with pytest.raises(DeploymentError, match="disk full"):
        deploy(platform, ledger, storage, new)
    assert served_version(platform) == old.version
    assert set(supervisor.states()) == {"router", f"model-flights-{old.version}"}
    assert alias(ledger, "flights", "champion") == old


def test_a_retry_finishes_what_a_killed_try_began(
    platform: Home, supervisor: Supervisor, ledger: Ledger, storage: Storage, registered: Registered, tmp_path: Path
) -> None:
    old, new = registered("run-1"), registered("run-2", bias=0.2)
    deploy(platform, ledger, storage, old)
    process = ModelProcess(platform, supervisor, "flights", new.version)
    process.install(fetch(storage, new, tmp_path / "copy"))
    process.begin()
    assert wait_until(lambda: process.progress().state == "ready", seconds=60)
    pid = pid_of(supervisor, new)
    assert served_version(platform) == old.version
    deploy(platform, ledger, storage, new)
    assert served_version(platform) == new.version
    assert pid_of(supervisor, new) == pid


def test_two_models_are_served_side_by_side(
    platform: Home, ledger: Ledger, storage: Storage, registered: Registered
) -> None:
    deploy(platform, ledger, storage, registered("run-1"))
    deploy(platform, ledger, storage, registered("run-2", model="flights-eu", outputs=("a", "b")))
    deploy(platform, ledger, storage, registered("run-3", bias=0.3))
    assert [deployment.name for deployment in deployments(ledger)] == ["flights", "flights-eu"]
    for deployment in deployments(ledger):
        reply = httpx.post(deployment.endpoint, json=RECORD)
        assert reply.headers["x-sailplane-version"] == deployment.version


def test_a_killed_model_server_comes_back(
    platform: Home, supervisor: Supervisor, ledger: Ledger, storage: Storage, registered: Registered
) -> None:
    model = registered("run-1")
    deployment = deploy(platform, ledger, storage, model)
    pid = pid_of(supervisor, model)
    assert pid
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: httpx.post(deployment.endpoint, json=RECORD).status_code == 503, seconds=10, every=0.01)
    refused = httpx.post(deployment.endpoint, json=RECORD)
    if refused.status_code == 503:
        assert "No healthy server" in refused.json()["error"]
    assert wait_until(lambda: served_version(platform) == model.version, seconds=60)
    assert pid_of(supervisor, model) != pid


def test_everything_that_was_served_comes_back_after_a_shutdown_or_a_crash(
    platform: Home, supervisor: Supervisor, ledger: Ledger, storage: Storage, registered: Registered
) -> None:
    model = registered("run-1")
    deploy(platform, ledger, storage, model)
    ports = [platform.router_port, *Router(platform).ports().values()]
    supervisor.shutdown()
    assert [call(port, "GET", "/v2/health/live").status for port in ports] == [0, 0]
    supervisor.boot()
    assert wait_until(lambda: served_version(platform) == model.version, seconds=60)

    pid = supervisor.pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not psutil.pid_exists(pid), seconds=10)
    assert served_version(platform) == model.version
    supervisor.boot()
    assert wait_until(lambda: served_version(platform) == model.version, seconds=60)
    assert deploy(platform, ledger, storage, model).version == model.version


def test_without_the_services_the_remedy_is_make_up(
    home: Home, supervisor: Supervisor, ledger: Ledger, storage: Storage, registered: Registered
) -> None:
    model = registered("run-1")
    with pytest.raises(DeploymentError, match=r"the router is not running.*make up"):
        deploy(home, ledger, storage, model)
    supervisor.shutdown()
    with pytest.raises(DeploymentError, match=r"not running.*make up"):
        deploy(home, ledger, storage, model)
    assert deployments(ledger) == []


def test_everything_listens_on_loopback_and_files_are_private(
    platform: Home, supervisor: Supervisor, ledger: Ledger, storage: Storage, registered: Registered
) -> None:
    deploy(platform, ledger, storage, registered("run-1"))
    assert supervisor.pid
    family = [psutil.Process(supervisor.pid), *psutil.Process(supervisor.pid).children(recursive=True)]
    listening = [c.laddr.ip for p in family for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN]
    # As gRPC's sockets, which are of IPv6, write it.
    assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}
    assert len(listening) >= 2
    open_to_others = [path for path in platform.root.rglob("*") if path.lstat().st_mode & 0o077]
    ours = [path for path in open_to_others if platform.root / "store" not in path.parents and path.is_file()]
    assert [path for path in ours if not path.name.startswith("ledger.db")] == []


def test_the_router_answers_in_json_whatever_is_asked(
    platform: Home, ledger: Ledger, storage: Storage, registered: Registered
) -> None:
    model = registered("run-1")
    deploy(platform, ledger, storage, model)
    base = f"http://127.0.0.1:{platform.router_port}"
    with httpx.Client(base_url=base) as client:
        assert client.get("/v2/health/live").json() == {"live": True}
        assert client.get("/v2/health/ready").json() == {"ready": True}
        unknown = client.get("/seldon/local/nope/api/v1.0/predictions")
        assert (unknown.status_code, unknown.json()["models"]) == (404, ["flights"])
        assert unknown.headers["content-type"] == "application/json"
        assert client.get("/v2/models/flights/ready").json() == {"name": "flights", "ready": True}
        assert client.get("/v2/models/flightsx").status_code == 404
        tensors = [{"name": "distance", "shape": [1], "datatype": "FP64", "data": ["x"]}]
        assert client.post("/v2/models/flights/infer", json={"inputs": tensors}).status_code == 400
        wrong = client.post("/seldon/local/flights/api/v1.0/predictions", json={"jsonData": {"a": 1}})
        assert wrong.status_code == 400
        assert "'distance' is missing" in wrong.json()["error"]
        assert client.get("/seldon/local/flights/api/v1.0/predictions").status_code == 405


def test_the_router_takes_its_port_from_the_home_again(platform: Home, supervisor: Supervisor) -> None:
    moved = replace(platform, router_port=free_port())
    supervisor.put(router_program(moved))
    supervisor.update()
    assert wait_until(lambda: call(moved.router_port, "GET", "/v2/health/live").status == 200, seconds=20)


def _files(home: Home) -> dict[str, str | None]:
    """The router's state, the bundles and the programs."""
    files = [*home.serving.rglob("*"), *(home.supervisor / "conf.d").iterdir()]
    return {
        str(path): json.dumps(path.read_bytes().hex()) if path.is_file() else None
        for path in files
        if not path.name.endswith("lock")
    }


def test_a_deployment_survives_json() -> None:
    deployment = Deployment(name="a", version="b", weights={"b": 100}, endpoint="http://c")
    assert Deployment.from_dict(json.loads(json.dumps(deployment.to_dict()))) == deployment
