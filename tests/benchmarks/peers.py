"""Peers in separate environments, because their requirements conflict with Airflow's."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.environments import environment


def peer_packages(*packages: str) -> Path:
    """Returns a folder with these packages, without their requirements, for peers that run on this environment's
    packages."""
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
    """Returns the Python of an environment with these packages, made once and kept."""
    home = _home("python", *packages)
    if not (home / "complete").exists():
        shutil.rmtree(home, ignore_errors=True)
        home.parent.mkdir(exist_ok=True)
        environment(home, *packages)
        (home / "complete").touch()
    return str(home / "bin" / "python")


def _home(kind: str, *packages: str) -> Path:
    """Returns the folder of one kind: folders of packages alone are not environments."""
    name = re.sub(r"\W+", "-", "-".join((kind, *packages)))
    return Path(tempfile.gettempdir(), "sailplane-bench-environments", name)
