"""The queue's tests run on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sailplane.ledger import Ledger
from tests.postgres import PostgreSQL, postgresql

# An empty project.
from tests.unit.services.conftest import home  # noqa: F401

DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))]


@pytest.fixture(scope="session")
def server() -> Iterator[PostgreSQL]:
    with postgresql() as running:
        yield running


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    database: str = request.getfixturevalue("server").database()
    return database


@pytest.fixture
def ledger(url: str) -> Ledger:
    return Ledger.create(url)
