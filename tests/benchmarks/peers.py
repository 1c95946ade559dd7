"""Peers in environments of their own: what they need, Airflow's cannot hold."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.environments import environment


def peer_packages(*packages: str) -> Path:
    """A folder with these and nothing that they need: for what runs on what this environment has."""
    home = _home("packages", *packages)
    if not (home / "complete").exists():
        shutil.rmtree(home, ignore_errors=True)
        with tempfile.TemporaryDirectory() as folder:
            # An environment that uv made has no pip.
            pip = [str(environment(Path(folder))), "-m", "pip"]
            subprocess.run([*pip, "install", "--quiet", "--no-deps", "--target", str(home), *packages], check=True)
        (home / "complete").touch()
    return home


def peer_python(*packages: str) -> str:
    """Of an environment with these packages; made once, and kept."""
    home = _home("python", *packages)
    if not (home / "complete").exists():
        shutil.rmtree(home, ignore_errors=True)
        home.parent.mkdir(exist_ok=True)
        environment(home, *packages)
        (home / "complete").touch()
    return str(home / "bin" / "python")


def _home(kind: str, *packages: str) -> Path:
    """Folders of packages alone are no environments: each kind has its own."""
    name = re.sub(r"\W+", "-", "-".join((kind, *packages)))
    return Path(tempfile.gettempdir(), "sailplane-bench-environments", name)
