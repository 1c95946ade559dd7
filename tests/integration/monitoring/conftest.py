from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from sailplane.bundles.bundle import Bundle
from sailplane.storage import Storage
from tests.integration.serving.model_server import Server, running
from tests.unit.bundles import tiny

SELDON = "/api/v1.0/predictions"
Serve = Callable[..., AbstractContextManager[Server]]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny.bundle(tmp_path_factory.mktemp("monitoring") / "bundle")


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "requests"


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage((tmp_path / "store").as_uri())


@pytest.fixture
def served(bundle: Bundle, spool: Path, tmp_path: Path) -> Serve:
    """`with served() as server` starts a server whose log is below `spool`, and complete once the block ends."""

    @contextmanager
    def start(*, below: Path = spool) -> Iterator[Server]:
        folder = below / bundle.manifest.model / bundle.version
        with running(bundle.folder, tmp_path / "server.log", "--request-log", str(folder)) as server:
            yield server

    return start


def message(records: list[dict[str, Any]], puid: str) -> dict[str, Any]:
    return {"jsonData": records, "meta": {"puid": puid}}
