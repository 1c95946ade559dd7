"""`sailplane new NAME`: its files and its refusals."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from sailplane.commands import new
from sailplane.errors import ConfigurationError
from sailplane.home import Home

PROJECT = Path(__file__).parents[3]
WRITTEN = [
    "dags/churn.py",
    "include/churn/data.py",
    "include/churn/features.py",
    "include/churn/model.py",
    "include/churn/sweep.yaml",
    "tests/unit/include/churn/test_churn.py",
]
HAD = {*new.EXPECTED, "tests", "tests/unit", "tests/unit/include"}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The parts of a checkout that `new` needs."""
    folder = tmp_path / "checkout"
    for name in ("dags", "include", "tests/unit/include"):
        (folder / name).mkdir(parents=True)
    for name in ("pyproject.toml", "tests/unit/include/conftest.py"):
        shutil.copy(PROJECT / name, folder / name)
    return folder


def write(checkout: Path, name: str) -> int:
    home = Home.find({"SAILPLANE_PROJECT": str(checkout)})
    return new.new(home, argparse.Namespace(name=name))


def paths(checkout: Path) -> set[str]:
    return {str(path.relative_to(checkout)) for path in checkout.rglob("*")} - HAD


def test_a_project_has_data_features_a_model_a_sweep_a_dag_and_a_test(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert write(checkout, "churn") == 0
    assert sorted(path for path in paths(checkout) if (checkout / path).is_file()) == WRITTEN
    said = capsys.readouterr().out.splitlines()
    assert said[: len(WRITTEN)] == WRITTEN
    assert "Run it:   sailplane airflow dags test churn" in said
    assert new.PLACEHOLDER not in "".join((checkout / path).read_text() for path in WRITTEN)


def test_the_command_writes_files_that_others_can_read(checkout: Path) -> None:
    settings = {"SAILPLANE_PROJECT": str(checkout), "PYTHONPATH": str(PROJECT / "plugins")}
    command = [sys.executable, "-m", "sailplane.cli", "new", "churn"]
    ended = subprocess.run(command, env=settings, cwd=checkout, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines()[: len(WRITTEN)] == WRITTEN
    assert {(checkout / path).stat().st_mode & 0o777 for path in WRITTEN} == {0o644}
    folders = [checkout / "include/churn", checkout / "tests/unit/include/churn"]
    assert {folder.stat().st_mode & 0o777 for folder in folders} == {0o755}


@pytest.mark.parametrize("name", ["churn", "a", "customers_who_cancel_within_the_next_week"[: new.LONGEST_NAME]])
def test_what_is_written_passes_the_checkouts_own_linter(checkout: Path, name: str) -> None:
    write(checkout, name)
    # ruff recognizes the checkout's own imports by the folder.
    (checkout / "plugins").symlink_to(PROJECT / "plugins")
    files = [path for path in new.contents(name) if path.suffix == ".py"]
    for check in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *check, "--no-cache", *files]
        ended = subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=60)
        assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "not a name for a Python module; expected a lower-case letter, then letters"),
        ("2churn", "not a name for a Python module"),
        ("my-churn", "not a name for a Python module"),
        ("Churn", "not a name for a Python module"),
        ("../churn", "not a name for a Python module"),
        ("class", "not a name for a Python module"),
        ("c" * (new.LONGEST_NAME + 1), "not a name for a Python module"),
        ("json", "a Python module is called json; expected another name"),
        ("pandas", "a Python module is called pandas"),
        ("dags", "a Python module is called dags"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused_and_nothing_is_written(checkout: Path, name: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        write(checkout, name)
    assert str(raised.value).startswith(f"create the project {name!r}: {message}")
    assert paths(checkout) == set()


@pytest.mark.parametrize("path", ["include/churn", "include/churn.py", "dags/churn.py", "tests/unit/include/churn"])
@pytest.mark.parametrize("kind", ["file", "folder", "broken link"])
def test_a_name_that_is_taken_is_refused_and_nothing_is_written(checkout: Path, path: str, kind: str) -> None:
    taken = checkout / path
    {
        "file": lambda: taken.write_text("mine"),
        "folder": taken.mkdir,
        "broken link": lambda: taken.symlink_to("nowhere"),
    }[kind]()
    with pytest.raises(ConfigurationError, match=f"create the project 'churn': {path} exists; expected a new name"):
        write(checkout, "churn")
    assert paths(checkout) == {path}


@pytest.mark.parametrize("path", new.EXPECTED)
def test_a_folder_that_is_not_a_checkout_is_refused(checkout: Path, path: str) -> None:
    gone = checkout / path
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    before = paths(checkout)
    with pytest.raises(ConfigurationError, match=f"it has no {path}; expected a checkout of Sailplane"):
        write(checkout, "churn")
    assert paths(checkout) == before


@pytest.mark.parametrize("late", ["include/churn", "tests/unit/include/churn", "dags/churn.py"])
def test_a_target_that_appears_meanwhile_leaves_nothing_half_written(checkout: Path, late: str) -> None:
    (checkout / late).mkdir()
    (checkout / late / "mine").touch()
    with pytest.raises(ConfigurationError, match=rf"write .*{late}: .*\. Nothing was written\."):
        new.write(checkout, "churn", new.contents("churn"))
    assert paths(checkout) == {late, f"{late}/mine"}


def test_an_installed_package_has_the_template() -> None:
    target = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert any(new.TEMPLATE.is_relative_to(PROJECT / package) for package in target["packages"])
    assert not {"exclude", "only-include"} & set(target)
    # hatchling leaves out files that git ignores.
    paths = [str(path) for path in new.TEMPLATE.rglob("*") if "__pycache__" not in path.parts]
    ended = subprocess.run(["git", "check-ignore", *paths], cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert ended.stdout == ""


def test_the_command_starts_fast() -> None:
    script = "import sys, sailplane.commands.new; print({'torch', 'pandas', 'sqlalchemy', 'httpx'} & {*sys.modules})"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert ended.stdout == "set()\n", ended.stderr
