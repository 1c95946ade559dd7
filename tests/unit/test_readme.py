"""What the front door says must be so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sailplane.cli import main

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text()
CODE = "\n".join(file.read_text() for file in (PROJECT / "plugins").rglob("*.py"))
# What the services tell each other, and what only a container sets.
INTERNAL = {
    "SAILPLANE_PROJECT",
    "SAILPLANE_RANKS_MEET_AT",
    "SAILPLANE_SERVICE",
    "SAILPLANE_STORE_ACCESS",
    "SAILPLANE_LEDGER_FILE",
    "SAILPLANE_ROUTER_HOST",
}


def settings(text: str) -> set[str]:
    return set(re.findall(r"(?<!_)SAILPLANE_[A-Z0-9_]*[A-Z0-9]", text))


def test_every_setting_is_in_the_readme_and_every_setting_of_the_readme_is_read() -> None:
    assert settings(README) == settings(CODE) - INTERNAL


def test_every_make_target_of_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"\bmake ([a-z]+)\b", README)) - {"up", "down"} <= targets
    assert {"up", "down", "test", "fast", "bench"} <= targets


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`sailplane ([a-z]+)", README))))
def test_every_command_of_the_readme_exists(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    assert re.search(rf"^\s+{command}\s", capsys.readouterr().out, re.M)


def test_every_link_and_picture_of_the_readme_exists() -> None:
    links = [link.partition("#") for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert [path for path, _, _ in links if path and not (PROJECT / path).exists()] == []
    assert [(path, title) for path, _, title in links if title and title not in titles(path or "README.md")] == []


def titles(path: str) -> list[str]:
    """Those of the file, as a link names them."""
    found = re.findall(r"^#+ (.+)$", (PROJECT / path).read_text(), re.M)
    return [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in found]


def test_the_users_projects_never_import_airflow() -> None:
    importing = re.compile(r"^\s*(from|import) airflow", re.M)
    assert [file for file in (PROJECT / "include").rglob("*.py") if importing.search(file.read_text())] == []


def test_the_platform_does_not_know_its_users_projects() -> None:
    knows = re.compile(r"nycflights|carrier|departure|pixel|\bflights\b|include\.digits")
    assert [file for file in (PROJECT / "plugins").rglob("*.py") if knows.search(file.read_text())] == []
