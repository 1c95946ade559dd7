from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sailplane.storage.http_logging import CLIENTS
from tests.unit.algorithmia.data_api_server import DataApiServer, data_api_server

Connect = Callable[..., None]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """`connect("lake", conn_type="aws", ...)` makes a connection. No others exist, and the environment has no keys."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "ALGORITHMIA_", "HF_", "AIRFLOW_CONN_"))]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    def make(name: str, **what: Any) -> None:
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(what))

    return make


@pytest.fixture
def server(tmp_path: Path) -> Iterator[DataApiServer]:
    """A Data API with the collection ada/c."""
    with data_api_server(tmp_path / "served") as server:
        (server.folder / "ada/c").mkdir()
        yield server


@pytest.fixture(autouse=True)
def levels() -> Iterator[None]:
    """Resets the levels of the HTTP clients' loggers, which the whole process shares."""
    before = {name: logging.getLogger(name).level for name in CLIENTS}
    for name in CLIENTS:
        logging.getLogger(name).setLevel(logging.NOTSET)
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)
