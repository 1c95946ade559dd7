from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgres import PostgreSQL, postgresql


@pytest.fixture(scope="package")
def server() -> Iterator[PostgreSQL]:
    with postgresql() as running:
        yield running
