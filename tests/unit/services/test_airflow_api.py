"""The client of Airflow's REST API, against a server that requires a login."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from sailplane.commands import clean
from sailplane.errors import ServiceError
from sailplane.home import Home
from sailplane.services import logins
from sailplane.services.airflow_api import BUSY_TRIES, AirflowApi, RefusedError


class Server(BaseHTTPRequestHandler):
    home: ClassVar[Home]
    refusal: ClassVar[str]
    busy: ClassVar[int]

    def do_GET(self) -> None:
        if self.path.endswith("/monitor/health"):
            return self._answer(200, {})
        if Server.busy:
            Server.busy -= 1
            return self._answer(500, {"detail": "Database error: database is locked"})
        known = self.headers["Authorization"] == "Bearer token of admin"
        return self._answer(200 if known else 401, {"answer": 42} if known else {"detail": "log in"})

    def do_POST(self) -> None:
        assert self.path == f"{logins.PAGE}/token"
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.refusal:
            self._answer(401, {"detail": self.refusal})
        else:
            self._answer(201, {"access_token": f"token of {logins.redeem(self.home, body['secret'])}"})

    def _answer(self, status: int, body: dict[str, object]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def server(home: Home) -> Iterator[None]:
    Server.home, Server.refusal, Server.busy = home, "", 0
    with ThreadingHTTPServer(("127.0.0.1", home.ui_port), Server) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield
        server.shutdown()
        thread.join()


def test_a_client_logs_in_when_the_server_asks_for_it(home: Home) -> None:
    with AirflowApi(home) as api:
        assert api.call("GET", "/dags") == api.call("GET", "/dags") == {"answer": 42}
    assert len(list(home.logins.iterdir())) == 1


def test_a_refused_login_is_reported_with_the_servers_reason(home: Home) -> None:
    Server.refusal = "the auth manager is FabAuthManager"
    with AirflowApi(home) as api, pytest.raises(RefusedError, match="FabAuthManager") as refused:
        api.call("GET", "/dags")
    assert refused.value.status == 401


def test_a_refused_login_keeps_airflows_history_and_stops_no_cleaning(home: Home) -> None:
    Server.refusal = "the auth manager is FabAuthManager"
    assert clean.finished_before(home, 1e9) == "kept: the auth manager is FabAuthManager"


@pytest.mark.parametrize(("busy", "left"), [(BUSY_TRIES, 0), (BUSY_TRIES + 2, 1)])
def test_a_request_that_found_the_database_busy_is_sent_again_a_few_times(
    busy: int, left: int, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AirflowApi._send.retry, "sleep", lambda _: None)
    Server.busy = busy
    with AirflowApi(home) as api, nullcontext() if left == 0 else pytest.raises(ServiceError, match="Database error"):
        assert api.call("GET", "/dags") == {"answer": 42}
    assert Server.busy == left
