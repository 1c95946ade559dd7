"""Copies objects from a real S3 to the Algorithmia twin, and from there to a folder, with Airflow's connections."""

from __future__ import annotations

import json
import logging
import time
import uuid
from pathlib import Path

import pytest

from sailplane.operators import SyncStorageOperator
from sailplane.storage import Storage
from tests.integration.storage.twin import TwinServer
from tests.s3 import S3Server

FILES = {"a/1 b?.csv": b"1", "a/ü#%.csv": b"", "large.bin": b"l" * 20_000_000}


def test_objects_go_from_s3_to_algorithmia_to_a_folder(
    s3: S3Server,
    twin: TwinServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    name = uuid.uuid4().hex
    aws = {"endpoint_url": s3.endpoint, "region_name": s3.access.region}
    lake = {"conn_type": "aws", "login": s3.access.key, "password": s3.access.secret, "extra": aws}
    algorithmia = {"conn_type": "algorithmia", "host": twin.url, "password": twin.key}
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", json.dumps(lake))
    monkeypatch.setenv("AIRFLOW_CONN_ALGORITHMIA_DEFAULT", json.dumps(algorithmia))
    bucket = Storage(f"s3://{s3.bucket}/{name}", lambda: s3.access)
    for path, content in FILES.items():
        bucket.put(path, content)
    # The twin knows times only to the second: an object that is put in the same second as its source would look older.
    wait_past(max(entry.modified.timestamp() for entry in bucket.entries()))

    first = SyncStorageOperator(
        task_id="up", source=f"s3://{s3.bucket}/{name}", target=f"data://.my/{name}", source_conn_id="lake"
    )
    second = SyncStorageOperator(task_id="down", source=f"data://.my/{name}", target=(tmp_path / "here").as_uri())
    with caplog.at_level(logging.INFO):
        assert [task.execute({})["objects"] for task in (first, second)] == [3, 3]
        assert [task.execute({})["objects"] for task in (first, second)] == [0, 0]
    here = Storage((tmp_path / "here").as_uri())
    assert {path: here.get(path) for path in here.list()} == FILES

    bucket.delete("large.bin")
    first.delete = second.delete = True
    assert [task.execute({})["objects"] for task in (first, second)] == [0, 0]
    assert here.list() == ["a/1 b?.csv", "a/ü#%.csv"]
    assert "HTTP Request" not in caplog.text
    for secret in (str(s3.access.secret), twin.key):
        assert secret not in caplog.text


def wait_past(moment: float) -> None:
    """Waits until the second after this one."""
    while time.time() < int(moment) + 1:
        time.sleep(0.05)
