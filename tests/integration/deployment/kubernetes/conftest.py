from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from kubernetes.client import ApiClient, Configuration, CustomObjectsApi
from kubernetes.config import new_client_from_config_dict

from sailplane.bundles.bundle import Bundle
from sailplane.bundles.columns import read
from sailplane.deployment.kubernetes.cluster import Cluster
from sailplane.deployment.kubernetes.core_v1 import CoreV1Target
from sailplane.deployment.kubernetes.core_v2 import CoreV2Target
from sailplane.deployment.kubernetes.names import object_name, service_name
from sailplane.deployment.kubernetes.workloads import CoreV1, CoreV2
from sailplane.ledger import Ledger, tables
from sailplane.records import Model
from sailplane.serving import SeldonModel
from sailplane.serving.open_inference import messages as open_inference
from sailplane.storage import Storage
from tests.homes import new_home
from tests.kubernetes_server import NAMESPACE, KubernetesServer
from tests.s3 import S3Server, s3_server
from tests.unit.bundles import tiny

NAME = "flights"
BUCKET = "lake"
V1 = CoreV1(image="registry.test/sailplane-seldon:0.1.0", deadline=timedelta(seconds=20))
V2 = CoreV2(deadline=timedelta(seconds=20))


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Bundle]:
    """Three versions whose scores differ."""
    folder = tmp_path_factory.mktemp("bundles")
    return [tiny.bundle(folder / str(number), bias=number / 2, run=f"run-{number}") for number in range(3)]


@pytest.fixture(scope="session")
def models(bundles: list[Bundle]) -> list[Model]:
    return [on_a_store(bundle) for bundle in bundles]


@pytest.fixture
def server(bundles: list[Bundle]) -> Iterator[KubernetesServer]:
    server = KubernetesServer()
    server.service = answering(bundles)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def client(server: KubernetesServer) -> Iterator[ApiClient]:
    with connected(server.config()) as client:
        yield client


def connected(config: dict[str, Any]) -> ApiClient:
    configuration = Configuration()
    configuration.retries = False
    return new_client_from_config_dict(config, client_configuration=configuration)


@pytest.fixture
def custom(client: ApiClient) -> CustomObjectsApi:
    return CustomObjectsApi(client)


@pytest.fixture
def opened(bundles: list[Bundle]) -> Callable[[str], AbstractContextManager[Bundle]]:
    known = {bundle.version: bundle for bundle in bundles}
    return lambda version: nullcontext(known[version])


@pytest.fixture
def cluster(client: ApiClient) -> Cluster:
    return Cluster(client, NAMESPACE, patience=2)


@pytest.fixture
def target(cluster: Cluster, opened: Any) -> CoreV1Target:
    return CoreV1Target(cluster, NAME, V1, opened)


@pytest.fixture
def target_v2(cluster: Cluster, opened: Any) -> CoreV2Target:
    return CoreV2Target(cluster, NAME, V2, opened)


@pytest.fixture
def service_at(server: KubernetesServer) -> Iterator[str]:
    """Starts an address in front of the services. Its paths begin with the namespace and the service."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            _, _, service, path = self.path.split("/", 3)
            status, said = server.service(f"/{path}", {"service": service}, body)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, format: str, *args: Any) -> None:
            """Logs to the test's output."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{http.server_address[1]}"
        http.shutdown()
        thread.join()


@pytest.fixture(scope="package")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        # Another name than the embedded S3's, which a command would look for at its own port.
        server.client.create_bucket(Bucket=BUCKET)
        yield server


@pytest.fixture
def on_s3(monkeypatch: pytest.MonkeyPatch, server: KubernetesServer, s3: S3Server, tmp_path: Path) -> Storage:
    """The project's store is in S3, and the connection `cluster` leads to the server."""
    monkeypatch.setenv("SAILPLANE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SAILPLANE_STORE", f"s3://{BUCKET}/{tmp_path.name}")
    aws = {"conn_type": "aws", "login": s3.access.key, "password": s3.access.secret}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps({**aws, "extra": {"endpoint_url": s3.endpoint}}))
    there = {"conn_type": "kubernetes", "extra": {"kube_config": server.config()}}
    monkeypatch.setenv("AIRFLOW_CONN_CLUSTER", json.dumps(there))
    new_home()
    return Storage(f"s3://{BUCKET}/{tmp_path.name}", lambda: s3.access)


@pytest.fixture
def ledger(tmp_path: Path, bundles: list[Bundle]) -> Ledger:
    """A ledger with all versions registered."""
    ledger = Ledger.create(f"sqlite:///{tmp_path / 'ledger.db'}")
    for bundle in bundles:
        registered_in(ledger, bundle)
    return ledger


def registered_in(ledger: Ledger, bundle: Bundle) -> Model:
    model = on_a_store(bundle)
    row = {"name": model.name, "version": model.version, "record": model.to_dict(), "created": 0.0}
    with ledger.begin() as connection:
        connection.execute(sa.insert(tables.models).values(row))
    return model


def on_a_store(bundle: Bundle) -> Model:
    """Returns the model as if it were registered on a store that pods can reach."""
    return Model(
        name=NAME,
        version=bundle.version,
        uri=f"s3://lake/models/{NAME}/{bundle.version}",
        digest=bundle.digest,
        run=bundle.manifest.run,
        dataset="d1",
        as_of=tiny.AS_OF,
    )


def answering(bundles: list[Bundle]) -> Callable[[str, dict[str, str], bytes], tuple[int, bytes]]:
    """The answers of these versions' pods: the class that Seldon's own server runs, or the v2 protocol."""
    predictors = {service_name(NAME, bundle.version): SeldonModel(str(bundle.folder)) for bundle in bundles}
    loaded = {f"{object_name(NAME)}-v{bundle.version}": bundle for bundle in bundles}

    def answer(path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        if path == "/metrics":
            return 200, predictors[headers["service"]].metrics_text().encode()
        message = json.loads(body)
        if path == "/api/v1.0/predictions":
            said = predictors[headers["service"]].predict_raw(message)
            return said.get("status", {}).get("code", 200), json.dumps(said).encode()
        bundle = loaded[path.split("/")[3]]
        inputs = bundle.manifest.inputs
        scores = bundle.predict_values(read(open_inference.columns(message, inputs), inputs))
        return 200, open_inference.reply(message, bundle.manifest, bundle.version, scores)[0]

    return answer
