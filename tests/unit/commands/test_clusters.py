"""The commands' output about a model on a cluster, which none of them calls."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from sailplane.commands.predict import predict
from sailplane.commands.status import print_on_clusters, shown
from sailplane.deployment.kubernetes import workloads
from sailplane.deployment.kubernetes.location import ClusterLocation
from sailplane.deployment.kubernetes.recorded import on_clusters, record_within
from sailplane.deployment.kubernetes.workloads import CoreV1, CoreV2
from sailplane.errors import ServiceError
from sailplane.home import Home
from sailplane.records import Deployment
from tests.homes import new_ledger

PATH = "/seldon/models/flights/api/v1.0/predictions"


def record(home: Home, workload: CoreV1 | CoreV2, endpoint: str = PATH) -> None:
    place = ClusterLocation(connection="kubernetes_default", namespace="models", workload=workloads.to_dict(workload))
    weights = {"0123456789ab": 90, "ba9876543210": 10}
    served = Deployment(name="flights", version="0123456789ab", weights=weights, endpoint=endpoint)
    with new_ledger(home.ledger).begin() as connection:
        record_within(connection, place, served, 60.0)


@pytest.fixture
def gateway() -> Iterator[HTTPServer]:
    """A gateway that returns the request."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.path.encode() + b" " + body)

        def log_message(self, format: str, *args: object) -> None:
            """Logs nothing: the command's output is the test's."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_status_says_where_it_is_with_which_traffic_and_since_when(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    record(home, CoreV1(image="x"))
    (one,) = on_clusters(new_ledger(home.ledger))
    print_on_clusters([one])
    _, head, row = capsys.readouterr().out.splitlines()
    assert head.split("  ")[0] == "MODEL ON A CLUSTER"
    told = ["90% 0123456789ab, 10% ba9876543210", "kubernetes_default/models", "1970-01-01 00:01:00 UTC", PATH]
    assert row.split()[:2] == ["flights", "0123456789ab"]
    assert all(each in row for each in told)
    assert json.loads(json.dumps(shown(one))) == {
        **one.deployment.content(),
        "connection": "kubernetes_default",
        "namespace": "models",
        "changed": "1970-01-01T00:01:00+00:00",
    }


@pytest.mark.parametrize(
    ("workload", "endpoint", "told"),
    [
        (CoreV1(image="x"), PATH, "kubectl -n models port-forward service/flights-v0123456789ab 8000`.*api/v1.0/pred"),
        (CoreV2(), "/v2/models/flights/infer", "service/seldon-mesh 8000:80`.*/infer with .* flights.experiment`"),
    ],
    ids=["v1", "v2"],
)
def test_predict_says_how_it_is_reached_without_a_gateway(
    home: Home, workload: CoreV1 | CoreV2, endpoint: str, told: str
) -> None:
    record(home, workload, endpoint)
    with pytest.raises(ServiceError, match=f"ask model flights: it is served at kubernetes_default/models.*{told}"):
        predict(home, "flights", None)


def test_predict_asks_the_gateway(home: Home, gateway: HTTPServer, capsys: pytest.CaptureFixture[str]) -> None:
    address = f"http://127.0.0.1:{gateway.server_address[1]}"
    record(home, CoreV1(image="x", ingress=address), address + PATH)
    assert predict(home, "flights", '{"jsonData": {}}') == 0
    assert capsys.readouterr().out == f'{PATH} {{"jsonData": {{}}}}\n'
