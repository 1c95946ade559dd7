from __future__ import annotations

from pathlib import Path

import pytest

from sailplane.errors import DataError
from sailplane.monitoring import requests, ship
from sailplane.serving.spool import SELDON, Entry, Writer
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
        writer.write([Entry(1.0, 0.0, status, SELDON, False, str(status), b"", b'{"error": "no"}')])
        writer.close()
    assert ship(spool, storage).rows == 1
    assert requests(storage, "m")["id"].tolist() == ["404"]
    assert [path.suffix for path in spool.iterdir()] == [".unreadable"]
