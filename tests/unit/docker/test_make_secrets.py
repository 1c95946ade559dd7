from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet


@pytest.fixture
def script(project: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(project / "docker" / "make-secrets.sh", tmp_path))


def _make(script: Path) -> dict[str, str]:
    subprocess.run([script], check=True, capture_output=True, cwd="/")
    return {path.name: path.read_text() for path in (script.parent / "secrets").iterdir()}


def test_the_secrets_are_of_the_kind_that_their_readers_take(script: Path) -> None:
    made = _make(script)
    Fernet(made["fernet_key"].encode())
    assert len(made["jwt_secret"]) >= 64
    for name, database in (("airflow_database_url", "airflow"), ("ledger_url", "ledger")):
        url = sa.make_url(made[name])
        assert (url.drivername, url.host, url.database) == ("postgresql+psycopg2", "postgres", database)
        assert url.password == made["postgres_password"]


def test_no_two_secrets_are_alike_and_none_ends_in_a_line_break(script: Path) -> None:
    made = _make(script)
    assert len(set(made.values())) == len(made) == 6
    assert all(value == value.strip() and len(value) >= 40 for value in made.values())


def test_a_second_run_changes_nothing_and_makes_what_is_missing(script: Path) -> None:
    made = _make(script)
    (script.parent / "secrets" / "jwt_secret").unlink()
    again = _make(script)
    assert again.pop("jwt_secret") != made.pop("jwt_secret")
    assert again == made


def test_nobody_else_gets_into_the_folder_and_the_containers_can_read_the_files(script: Path) -> None:
    _make(script)
    folder = script.parent / "secrets"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o644}


def test_git_ignores_the_secrets(project: Path) -> None:
    assert "/secrets/" in (project / "docker" / ".gitignore").read_text().splitlines()
