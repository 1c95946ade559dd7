"""Peers in environments of their own: what they need, Airflow's cannot hold."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from tests.environments import environment


def peer_python(package: str) -> str:
    """Of an environment with that package; made once, and kept."""
    home = Path(tempfile.gettempdir(), "sailplane-bench-environments", re.sub(r"\W+", "-", package))
    if not (home / "complete").exists():
        shutil.rmtree(home, ignore_errors=True)
        home.parent.mkdir(exist_ok=True)
        environment(home, package)
        (home / "complete").touch()
    return str(home / "bin" / "python")
