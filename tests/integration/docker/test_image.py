from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.environments import environment


def test_what_is_copied_before_the_packages_are_installed_is_enough_for_that(
    project: Path, dockerfile: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """pip needs only the project's dependencies and version."""
    before = dockerfile[: dockerfile.index("pip install")]
    for line in before.splitlines():
        if line.startswith("COPY "):
            _copy(project, line.split()[1:], tmp_path)
    # As in the image. An environment that uv made has no pip.
    python = environment(tmp_path_factory.mktemp("environment"))
    command = [str(python), "-m", "pip", "install", "--dry-run", "--no-deps", "--disable-pip-version-check", "."]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def _copy(project: Path, names: list[str], folder: Path) -> None:
    *sources, target = names
    for source in sources:
        place = folder / (Path(target) / source if target.endswith("/") else target)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(project / source, place)
