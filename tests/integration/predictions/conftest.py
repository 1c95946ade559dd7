from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sailplane.home import Home
from sailplane.storage import Access, Storage
from tests.homes import new_home
from tests.s3 import S3Server, s3_server


@dataclass(frozen=True)
class Place:
    """A home whose store is a folder or an S3, with the settings by which a process reaches it."""

    home: Home
    storage: Storage
    accesses: dict[str, Access]


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(params=["file", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SAILPLANE_HOME", str(tmp_path / "home"))
    if request.param == "file":
        home = new_home()
        return Place(home, Storage(home.store), {})
    server: S3Server = request.getfixturevalue("s3")
    monkeypatch.setenv("SAILPLANE_STORE", f"s3://{server.bucket}/{tmp_path.name}")
    home = new_home()
    return Place(home, Storage(home.store, lambda: server.access), {home.store: server.access})
