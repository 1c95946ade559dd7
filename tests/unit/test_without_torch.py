from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PLAIN = """
import pytest

def test_plain(): assert True

@pytest.mark.torch
def test_marked():
    import torch
"""


@pytest.mark.slow
def test_files_that_import_torch_and_marked_tests_are_left_out_and_counted(tmp_path: Path) -> None:
    ended = run(tmp_path, "--without-torch")
    assert ended.returncode == 0, ended.stdout
    assert "1 passed" in ended.stdout
    assert "Left out without torch: 1 of 2 test files, and 1 more tests." in ended.stdout
    assert "skipped" not in ended.stdout


@pytest.mark.slow
def test_on_several_workers_a_file_counts_once(tmp_path: Path) -> None:
    assert "1 of 2 test files, and 1 more tests" in run(tmp_path, "--without-torch", "-n", "2").stdout


@pytest.mark.slow
def test_without_the_option_a_missing_torch_is_an_error(tmp_path: Path) -> None:
    ended = run(tmp_path)
    assert ended.returncode != 0
    assert "No module named 'torch'" in ended.stdout


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Runs pytest over one test file that imports torch and one that does not, in an interpreter without torch."""
    tests = folder / "tests" / "unit"
    tests.mkdir(parents=True)
    (tests / "test_with.py").write_text("import torch\n\ndef test_with(): assert torch\n")
    (tests / "test_plain.py").write_text(PLAIN)
    (folder / "missing").mkdir()
    (folder / "missing" / "torch.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.without_torch",
        "--rootdir",
        str(folder),
        *options,
        str(tests),
    ]
    path = f"{folder / 'missing'}:{PROJECT}"
    return subprocess.run(command, env={"PYTHONPATH": path, "PATH": "/usr/bin:/bin"}, capture_output=True, text=True)
