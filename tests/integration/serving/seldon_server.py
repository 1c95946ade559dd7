"""The real `seldon-core-microservice`, in a separate environment, on free ports."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from sailplane.deployment.http_client import call, wait_until
from tests.integration.serving.conftest import PROJECT, REQUIREMENTS
from tests.ports import free_port

START_SECONDS = 120


def settings(**more: str) -> dict[str, str]:
    """Returns the image's settings, without any of this environment's Python."""
    here = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    return {**here, **_image(), "PYTHONPATH": str(PROJECT / "plugins"), **more}


def parameters(uri: object) -> dict[str, str]:
    """Returns the parameters as Seldon's operator sets them."""
    return {"PREDICTIVE_UNIT_PARAMETERS": json.dumps([{"name": "model_uri", "value": str(uri), "type": "STRING"}])}


def _image() -> dict[str, str]:
    """Returns the settings of the Dockerfile, except paths."""
    text = (REQUIREMENTS.parent / "Dockerfile").read_text().replace("\\\n", " ")
    block = re.findall(r"^ENV (.*)$", text, re.M)[-1]
    return {name: value for name, value in (pair.split("=") for pair in block.split()) if name != "PYTHONPATH"}


def seldon_server(python: Path, log: Path, port: int, **env: str) -> subprocess.Popen[bytes]:
    command = [python.with_name("seldon-core-microservice"), "sailplane.serving.SeldonModel", "--service-type", "MODEL"]
    ports = ["--http-port", str(port), "--metrics-port", env.pop("METRICS_PORT", str(free_port()))]
    with log.open("wb") as output:
        return subprocess.Popen([*command, *ports], env=settings(**env), cwd=log.parent, stdout=output, stderr=output)


@contextmanager
def ready(process: subprocess.Popen[bytes], port: int, log: Path) -> Iterator[httpx.Client]:
    """Yields a client of the server once the server is healthy."""
    try:
        assert wait_until(lambda: process.poll() is not None or healthy(port), seconds=START_SECONDS), log.read_text()
        assert process.poll() is None, log.read_text()
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
            yield client
    finally:
        stop(process)


def healthy(port: int) -> bool:
    return call(port, "GET", "/health/status").status == 200


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stops the server and its child processes, which would outlive a killed server."""
    if process.poll() is not None:
        return
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    process.send_signal(signal.SIGTERM)
    _, left = psutil.wait_procs(family[1:], timeout=15)
    for one in left:
        one.kill()
    process.wait(30)
