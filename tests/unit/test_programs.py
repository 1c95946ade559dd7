from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = """
import pytest

@pytest.mark.needs("chromium")
def test_in_a_browser(): ...

def test_without(): ...
"""


def pytest_over(folder: Path, text: str, path: Path) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text('pytest_plugins = ["tests.programs"]')
    (folder / "test_it.py").write_text(text)
    env = {**os.environ, "PATH": str(path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "ignore", str(folder)]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60)


@pytest.mark.slow
def test_a_test_whose_program_is_missing_is_skipped_and_named_at_the_end_with_the_remedy(tmp_path: Path) -> None:
    ended = pytest_over(tmp_path, TESTS, tmp_path / "empty")
    assert ended.returncode == 0, ended.stdout
    assert "chromium (tests that need it: 1): apt-get install chromium" in ended.stdout
    assert "1 passed, 1 skipped" in ended.stdout.splitlines()[-1]


@pytest.mark.slow
def test_a_test_whose_program_is_there_runs(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "chromium"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    ended = pytest_over(tmp_path, TESTS, program.parent)
    assert "2 passed" in ended.stdout.splitlines()[-1]
    assert "not run on this machine" not in ended.stdout


@pytest.mark.slow
def test_a_program_that_nobody_knows_is_an_error(tmp_path: Path) -> None:
    ended = pytest_over(tmp_path, TESTS.replace("chromium", "chromum"), tmp_path)
    assert ended.returncode != 0
    assert "needs 'chromum'; expected one of chromium" in ended.stdout + ended.stderr
