"""The time until new services are healthy, and their needs when idle, compared with `airflow standalone`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil

from tests.benchmarks.memory import pss_megabytes, total
from tests.benchmarks.row import Row
from tests.platform import new_platform, until
from tests.ports import free_port

PROJECT = Path(__file__).parents[2]
SETTLE_SECONDS = 20
PARTS = {"metadatabase", "scheduler", "triggerer", "dag_processor"}


def rows() -> Iterator[Row]:
    peer_seconds, peer_memory = _standalone()
    seconds, memory = _ours()
    yield Row("all services up", seconds, peer_seconds, "s", "airflow standalone", "at most 20")
    yield Row("idle memory", memory, peer_memory, "MB PSS", "airflow standalone", "at most 1300")


def _ours() -> tuple[float, float]:
    with tempfile.TemporaryDirectory(prefix="sailplane-bench-") as folder:
        platform = new_platform(Path(folder, "home"), PROJECT)
        begun = time.monotonic()
        try:
            ended = platform.sailplane("up", "--no-run")
            seconds = time.monotonic() - begun
            assert ended.returncode == 0, ended.stderr
            assert _healthy(platform.home.ui_port)
            time.sleep(SETTLE_SECONDS)
            assert _healthy(platform.home.ui_port)
            return seconds, pss_megabytes(platform.home)
        finally:
            platform.sailplane("down")


def _standalone() -> tuple[float, float]:
    """Starts `airflow standalone` with its defaults, except the port and the examples.
    https://airflow.apache.org/docs/apache-airflow/stable/start.html"""
    with tempfile.TemporaryDirectory(prefix="sailplane-bench-") as folder:
        port = free_port()
        env = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "SAILPLANE"))}
        env |= {
            "AIRFLOW_HOME": folder,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__BASE_URL": f"http://localhost:{port}",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        begun = time.monotonic()
        with Path(folder, "log").open("wb") as log:
            command = [sys.executable, "-m", "airflow", "standalone"]
            process = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
        try:
            until(lambda: _healthy(port), 300, "airflow standalone")
            seconds = time.monotonic() - begun
            time.sleep(SETTLE_SECONDS)
            assert _healthy(port)
            family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            return seconds, total(family)
        finally:
            family = psutil.Process(process.pid).children(recursive=True)
            # SIGTERM would orphan its children.
            process.send_signal(signal.SIGINT)
            _, alive = psutil.wait_procs([psutil.Process(process.pid), *family], timeout=30)
            for left in alive:
                left.kill()


def _healthy(port: int) -> bool | None:
    """Whether all components are healthy that `up` also waits for."""
    try:
        health = httpx.get(f"http://127.0.0.1:{port}/api/v2/monitor/health", trust_env=False, timeout=5).json()
    except (httpx.HTTPError, ValueError):
        return None
    return True if {name for name, part in health.items() if part["status"] == "healthy"} == PARTS else None
