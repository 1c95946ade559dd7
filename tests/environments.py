"""Separate environments, for packages whose requirements conflict with Airflow's."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from sailplane.files import locked, private_folder

PROJECT = Path(__file__).parents[1]
INSTALLER = ("bootstrap.py", "preflight.py", "__init__.py")


def copy_installer(project: Path) -> Path:
    """Copies the installer and the project's metadata; returns the script that installs."""
    package = "plugins/sailplane"
    for name in ("pyproject.toml", "constraints.txt", "README.md", *(f"{package}/{file}" for file in INSTALLER)):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROJECT / name, project / name)
    return project / package / "bootstrap.py"


def environment(folder: Path, *packages: str, base: str = sys.executable) -> Path:
    """Makes an environment with pip, the packages (or `--requirement FILE`) and their dependencies. Returns its
    Python."""
    subprocess.run([*_venv(os.path.realpath(base)), str(folder)], check=True)
    python = folder / "bin" / "python"
    if packages:
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
        installed = subprocess.run(command, capture_output=True, text=True)
        assert installed.returncode == 0, installed.stdout + installed.stderr
    return python


def _venv(python: str) -> list[str]:
    """Returns the command that makes an environment with pip. Debian's Python has no ensurepip without python3-venv."""
    found = subprocess.run([python, "-c", "import ensurepip, venv"], capture_output=True)
    if found.returncode == 0:
        return [python, "-m", "venv"]
    uv = shutil.which("uv")
    assert uv, f"{python} cannot make an environment: its module ensurepip or venv is missing. Install python3-venv."
    return [uv, "venv", "--quiet", "--seed", "--python", python]


def kept_environment(requirements: Path, base: str = sys.executable) -> Path:
    """Returns the Python of an environment with the packages in the file. It is made once for each content of the
    file."""
    kept = private_folder(Path(tempfile.gettempdir(), f"sailplane-environments-{os.geteuid()}"))
    content = requirements.read_bytes() + os.path.realpath(base).encode()
    folder = kept / f"{requirements.parent.name}-{hashlib.sha256(content).hexdigest()[:12]}"
    with locked(kept / f"{folder.name}.lock"):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            environment(folder, "--no-deps", "--requirement", str(requirements), base=base)
            (folder / "complete").touch()
    return folder / "bin" / "python"
