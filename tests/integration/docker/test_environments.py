"""Environments for other packages, made from each kind of Python that may run the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.environments import environment


def executable(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def has_pip(python: Path) -> bool:
    return subprocess.run([str(python), "-m", "pip", "--version"], capture_output=True).returncode == 0


def test_from_an_environment_without_pip_as_uv_makes_it(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    bare = tmp_path / "bare" / "bin" / "python"
    assert not has_pip(bare)
    assert has_pip(environment(tmp_path / "made", base=str(bare)))


def test_from_a_python_without_ensurepip_uv_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The replacement of uv takes the arguments of the real one and makes the environment with this Python."""
    python = executable(tmp_path / "python3", "exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    asked = f'[ "$1 $2 $3 $4 $5" = "venv --quiet --seed --python {python}" ] || exit 9'
    executable(tmp_path / "uv", f'{asked}\nexec {os.path.realpath(sys.executable)} -m venv "$6"')
    assert has_pip(environment(tmp_path / "made", base=str(python)))


def test_without_either_it_is_said_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = executable(tmp_path / "python3", "exit 1")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(AssertionError, match=r"its module ensurepip or venv is missing\. Install python3-venv"):
        environment(tmp_path / "made", base=str(python))
