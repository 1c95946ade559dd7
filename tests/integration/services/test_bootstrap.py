"""The bootstrap with the real pip and an index that does not answer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.environments import copy_installer


def test_without_uv_and_without_a_network_pip_fails_with_one_line(tmp_path: Path) -> None:
    env = {
        "PATH": str(_only_python(tmp_path / "bin")),
        "HOME": str(tmp_path),
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_RETRIES": "0",
        # Only the index matters here, not the free space of the machine.
        "PIP_EXTRA_INDEX_URL": "http://127.0.0.1:9/cpu",
    }
    ended = subprocess.run(
        [sys.executable, "-I", str(copy_installer(tmp_path))],
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
    )
    log = (tmp_path / ".venv-install.log").read_text()
    assert ended.returncode == 1, log
    assert "with pip" in ended.stdout
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert "no network: the package index cannot be reached" in ended.stderr, log


def _only_python(folder: Path) -> Path:
    """Returns a folder for PATH that has Python but not uv."""
    folder.mkdir()
    (folder / "python3").symlink_to(Path(sys.executable).resolve())
    return folder
