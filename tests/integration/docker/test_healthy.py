from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

REPORT = {"scheduler": {"status": "healthy"}, "triggerer": {"status": "unhealthy"}, "dag_processor": {"status": None}}


class _Report(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps(REPORT).encode()
        self.send_response(200 if self.path == "/health" else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Report) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def _check(project: Path, *arguments: str) -> tuple[int, str]:
    # A proxy that does not exist: a request to it would fail.
    env = {**os.environ, "http_proxy": "http://127.0.0.1:9"}
    command = [sys.executable, "-IS", "docker/healthy.py", *arguments]
    ended = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True)
    return ended.returncode, ended.stderr


def test_an_answer_is_healthy(project: Path, url: str) -> None:
    assert _check(project, f"{url}/health") == (0, "")


def test_a_healthy_component_is_healthy(project: Path, url: str) -> None:
    assert _check(project, f"{url}/health", "scheduler") == (0, "")


@pytest.mark.parametrize(
    ("component", "complaint"),
    [("triggerer", "triggerer is unhealthy"), ("dag_processor", "dag_processor is None"), ("pilot", "no pilot")],
)
def test_a_component_that_is_not_healthy_is_named(project: Path, url: str, component: str, complaint: str) -> None:
    code, said = _check(project, f"{url}/health", component)
    assert code == 1
    assert complaint in said


def test_an_error_status_is_not_healthy(project: Path, url: str) -> None:
    assert _check(project, f"{url}/elsewhere") == (1, f"{url}/elsewhere answers 503\n")


def test_no_answer_is_not_healthy(project: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        code, said = _check(project, f"http://127.0.0.1:{free.getsockname()[1]}/health")
    assert code == 1
    assert "does not answer" in said


def test_a_service_that_touches_a_file_is_healthy_as_long_as_it_does(project: Path, tmp_path: Path) -> None:
    file = tmp_path / "daily.json"
    assert "cannot be read" in _check(project, str(file), "60")[1]
    file.touch()
    assert _check(project, str(file), "60") == (0, "")
    os.utime(file, (0, 0))
    code, said = _check(project, str(file), "60")
    assert code == 1
    assert "expected less than 60 s" in said
