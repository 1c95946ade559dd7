from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sailplane.deployment.envoy.router import Router
from sailplane.deployment.local.source import LocalSource
from sailplane.home import Home
from sailplane.serving.metrics import Metrics


@contextmanager
def counting(metrics: Metrics, port: int = 0) -> Iterator[int]:
    """Starts a server with these metrics. Yields its port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(metrics.text())

        def log_message(self, *_what: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", port), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.find({"SAILPLANE_PROJECT": str(tmp_path), "SAILPLANE_HOME": str(tmp_path / "home")})


def test_what_was_fed_back_elsewhere_counts_once_though_that_server_is_away_for_a_moment(home: Home) -> None:
    mine, other = (Metrics("m", version, lambda: 0) for version in ("v1", "v2"))
    source, router = LocalSource(home, "m"), Router(home)
    mine.rewarded("v1", 1.0, {})
    for _ in range(3):
        other.rewarded("v1", 0.0, {})
    with counting(mine) as port:
        router.add("m", "v1", port)
        with counting(other) as elsewhere:
            router.add("m", "v2", elsewhere)
            before = source.observed("v1")
        away = source.observed("v1")
        with counting(other, elsewhere):
            mine.rewarded("v1", 1.0, {})
            after = source.observed("v1")
    assert (before.feedback["reward"].count, before.feedback["reward"].total) == (4, 1.0)
    new = [now.since(then).feedback["reward"].count for then, now in ((before, away), (away, after))]
    assert new == [0, 1]
