from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.registry import _registry

from sailplane.storage import Storage
from sailplane.storage.backend import CHUNK_BYTES
from sailplane.storage.data_api import DataApi
from sailplane.storage.filesystem import S3FileSystem
from tests.unit.storage.data_api_faults import client
from tests.unit.storage.data_api_server import DataApiServer, data_api_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[DataApiServer]:
    """A Data API that knows conditions, with one collection, ada/c."""
    with data_api_server(tmp_path / "served") as server:
        (server.folder / "ada/c").mkdir()
        yield server


@pytest.fixture
def old_server(tmp_path: Path) -> Iterator[DataApiServer]:
    """One that knows as little as the hosted service did."""
    with data_api_server(tmp_path / "served", modern=False) as server:
        (server.folder / "ada/c").mkdir()
        yield server


@pytest.fixture
def api(server: DataApiServer) -> DataApi:
    return client(server)


@pytest.fixture
def large() -> bytes:
    """Two pieces and a half."""
    return random.Random(1).randbytes(CHUNK_BYTES * 5 // 2)


@pytest.fixture
def place(tmp_path: Path) -> Callable[[str], Storage]:
    return lambda uri: Storage((tmp_path / uri.partition("://")[2]).as_uri())


@pytest.fixture
def fs(place: Callable[[str], Storage]) -> S3FileSystem:
    return S3FileSystem(place)


@pytest.fixture
def filled(fs: S3FileSystem) -> S3FileSystem:
    for name in ("a.txt", "d/b.txt", "d/e/c.txt"):
        fs.pipe_file(f"bucket/{name}", name.encode())
    return fs


@pytest.fixture
def named(place: Callable[[str], Storage], monkeypatch: pytest.MonkeyPatch) -> None:
    """`s3://` is ours for fsspec, and so for pandas."""

    class Placed(S3FileSystem):
        def __init__(self, **options: Any) -> None:
            super().__init__(place, **options)

    monkeypatch.setitem(_registry, "s3", Placed)
