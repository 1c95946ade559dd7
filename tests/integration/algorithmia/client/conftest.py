from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from sailplane.algorithmia.client import DataApi
from sailplane.storage.backend import CHUNK_BYTES
from tests.integration.algorithmia.client.faults import client
from tests.unit.algorithmia.data_api_server import DataApiServer, data_api_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[DataApiServer]:
    """A Data API that supports conditions, with the collection ada/c."""
    with data_api_server(tmp_path / "served") as server:
        (server.folder / "ada/c").mkdir()
        yield server


@pytest.fixture
def old_server(tmp_path: Path) -> Iterator[DataApiServer]:
    """A Data API without conditions, like the hosted service."""
    with data_api_server(tmp_path / "served", modern=False) as server:
        (server.folder / "ada/c").mkdir()
        yield server


@pytest.fixture
def api(server: DataApiServer) -> DataApi:
    return client(server)


@pytest.fixture
def large() -> bytes:
    """A content of two pieces and a half."""
    return random.Random(1).randbytes(CHUNK_BYTES * 5 // 2)
