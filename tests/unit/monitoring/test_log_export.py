from __future__ import annotations

import json
from pathlib import Path

import pytest

from sailplane.errors import DataError
from sailplane.monitoring import export, log_export, requests
from sailplane.records import Check, Field
from sailplane.serving.spool import SELDON, LogEntry, Writer
from sailplane.storage import Storage

HEAD = {"model": "m", "version": "v", "inputs": [], "outputs": []}


def test_a_damaged_file_on_the_store_is_named(tmp_path: Path) -> None:
    storage = Storage((tmp_path / "store").as_uri())
    path = "requests/m/v/2026-10-01/one.parquet"
    storage.put(path, b"PAR1 and no more")
    with pytest.raises(DataError, match=f"{path}: it is damaged"):
        requests(storage, "m")


def test_a_row_that_no_table_takes_holds_up_no_other_file(tmp_path: Path) -> None:
    spool, storage = tmp_path / "spool", Storage((tmp_path / "store").as_uri())
    for status in (40_000, 404):
        writer = Writer(spool, HEAD)
        writer.write([LogEntry(1.0, 0.0, status, SELDON, False, str(status), b"", b'{"error": "no"}')])
        writer.close()
    assert export(spool, storage).rows == 1
    assert requests(storage, "m")["id"].tolist() == ["404"]
    assert [path.suffix for path in spool.iterdir()] == [".unreadable"]


def test_a_file_is_not_set_aside_for_lack_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool, storage = tmp_path / "spool", Storage((tmp_path / "store").as_uri())
    writer = Writer(spool, HEAD)
    writer.write([LogEntry(1.0, 0.0, 404, SELDON, False, "id", b"", b'{"error": "no"}')])
    writer.close()

    def short_of_memory(_path: Path) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(log_export, "days", short_of_memory)
        with pytest.raises(MemoryError):
            export(spool, storage)
    assert export(spool, storage).rows == 1


def test_each_row_of_the_log_has_the_checks_that_it_fails(tmp_path: Path) -> None:
    """This holds for answered and for refused requests."""
    spool, storage = tmp_path / "spool", Storage((tmp_path / "store").as_uri())
    check = Check(name="isin", arguments={"allowed_values": ["AA"]}, says="isin(['AA'])")
    field = Field(name="carrier", kind="string", nullable=True, checks=(check,))
    writer = Writer(spool, {**HEAD, "inputs": [field.to_dict()]})
    body = json.dumps({"jsonData": [{"carrier": "AA"}, {"carrier": "XX"}, {}]}).encode()
    writer.write([LogEntry(1.0, 0.0, 400, SELDON, False, "id", body, b'{"error": "no"}')])
    writer.close()
    export(spool, storage)
    frame = requests(storage, "m")
    assert frame["input.carrier"].tolist()[:2] == ["AA", "XX"]
    told = frame["violations"].tolist()
    assert told[0] is None
    assert told[2] is None
    assert list(told[1]) == ["carrier: isin(['AA']): 'XX'"]
