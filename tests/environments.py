"""Environments of their own, for packages that need others than Airflow has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def environment(folder: Path, package: str) -> Path:
    """Its Python, with the package and what that needs."""
    subprocess.run([os.path.realpath(sys.executable), "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]
    installed = subprocess.run(command, capture_output=True, text=True)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    return python
