"""The time to make `.venv` with a warm cache, compared with Airflow alone with the same installer and the same pins."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.row import Row

PROJECT = Path(__file__).parents[2]
VERSION = "import airflow; print(airflow.__version__)"


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="sailplane-bench-") as folder:
        _bootstrap(Path(folder, "warm-up"))
        ours = _bootstrap(Path(folder, "ours"))
        peer = _airflow_alone(Path(folder, "peer"))
        _assert_same(Path(folder, "ours", ".venv"), Path(folder, "peer"))
    yield Row("set-up of .venv", ours, peer, "s", "Airflow alone", "at most 120")


def _bootstrap(folder: Path) -> float:
    files = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True)
    for name in files.stdout.split("\0")[:-1]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROJECT / name, folder / name)
    return _timed([_python(), "-I", str(folder / "plugins/sailplane/bootstrap.py")])


def _assert_same(ours: Path, peer: Path) -> None:
    """Raises unless both have an importable Airflow of the same version."""
    said = [
        subprocess.run([venv / "bin" / "python", "-c", VERSION], capture_output=True, text=True, check=True).stdout
        for venv in (ours, peer)
    ]
    assert said[0] == said[1], said


def _airflow_alone(folder: Path) -> float:
    """Installs Airflow with constraints, as its documentation says.
    https://airflow.apache.org/docs/apache-airflow/stable/installation/installing-from-pypi.html"""
    pins = ["-c", str(PROJECT / "constraints.txt"), "apache-airflow"]
    python = str(folder / "bin" / "python")
    if uv := shutil.which("uv"):
        seconds = _timed([uv, "venv", "--python", _python(), str(folder)])
        return seconds + _timed([uv, "pip", "install", "--python", python, "--compile-bytecode", *pins])
    seconds = _timed([_python(), "-m", "venv", str(folder)])
    return seconds + _timed([python, "-m", "pip", "install", *pins])


def _python() -> str:
    """Returns the Python that made this process's environment."""
    return os.path.realpath(sys.executable)


def _timed(command: list[str]) -> float:
    begun = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - begun
