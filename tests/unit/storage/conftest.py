from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fsspec.registry import _registry

from sailplane.storage import Storage
from sailplane.storage.filesystem import S3FileSystem


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
    """Registers our filesystem for `s3://` with fsspec, and so with pandas."""

    class Placed(S3FileSystem):
        def __init__(self, **options: Any) -> None:
            super().__init__(place, **options)

    monkeypatch.setitem(_registry, "s3", Placed)
