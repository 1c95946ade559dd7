"""README.md is short, and the platform's code stays within its bounds. test_guides.py checks the content."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text()
# Readers of README.md read all of it; the rest is in the guides.
MOST_CHARACTERS = 9_500


def test_the_readme_is_short() -> None:
    assert len(README) <= MOST_CHARACTERS


def test_the_readme_names_the_files_that_a_new_project_has() -> None:
    for name in ("flights", "digits"):
        there = {path.name for path in (PROJECT / "include" / name).glob("*.*")} - {"join_a_sweep.ipynb"}
        assert there == set(re.findall(r"^    (\w+\.\w+)  ", README, re.M))


def test_the_users_projects_never_import_airflow() -> None:
    importing = re.compile(r"^\s*(from|import) airflow", re.M)
    assert [file for file in (PROJECT / "include").rglob("*.py") if importing.search(file.read_text())] == []


def test_the_platform_does_not_know_its_users_projects() -> None:
    knows = re.compile(r"nycflights|carrier|departure|pixel|\bflights\b|include\.digits")
    assert [file for file in (PROJECT / "plugins").rglob("*.py") if knows.search(file.read_text())] == []
