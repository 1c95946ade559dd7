"""The log of requests of several versions, joined with late labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sailplane.bundles.bundle import Bundle
from sailplane.errors import LabelError
from sailplane.monitoring import Counts, export, requests, scan
from sailplane.storage import Storage
from tests.integration.monitoring.conftest import SELDON, Serve, message
from tests.unit.bundles import tiny


def test_feedback_and_late_labels_join_by_the_id_and_what_joins_nothing_is_counted(
    served: Serve, spool: Path, storage: Storage, bundle: Bundle, tmp_path: Path
) -> None:
    with served() as server:
        for name, rows in (("a", 1), ("b", 2), ("c", 1), ("d", 1)):
            server.post(SELDON, message([tiny.RECORD] * rows, name))

        def feed_back(name: str, **said: Any) -> None:
            response = {"meta": {"puid": name, "requestPath": {"flights": bundle.version}}}
            assert server.post("/api/v1.0/feedback", {"response": response, **said}).status_code == 200

        feed_back("a", reward=0.25)
        feed_back("a", reward=0.75, truth={"data": {"ndarray": [[1]]}})
        feed_back("a", truth={"data": {"ndarray": [[0]]}})
        feed_back("b", truth={"data": {"tensor": {"shape": [2, 1], "values": [1, 0]}}})
        feed_back("c", truth={"jsonData": 1})
        feed_back("nobody", reward=1)
    export(spool, storage)
    labels = pd.DataFrame(
        {"id": ["c", "c", "d", "d", "x"], "truth": [0, 1, 1, 0, 1], "time": pd.to_datetime([5, 1, 1, 2, 1])}
    )
    counts = Counts()
    frame = requests(storage, "flights", labels=labels, counts=counts)
    assert frame["id"].tolist() == ["a", "b", "b", "c", "d"]
    assert frame["truth"].tolist() == [0, 1, 0, 0, 0]
    assert frame["reward"].tolist()[0] == 0.75
    assert frame["reward"][1:].isna().all()
    assert (counts.feedback, counts.feedback_unknown, counts.labelled) == (6, 1, 5)
    assert (counts.labels, counts.labels_repeated, counts.labels_unknown) == (5, 2, 1)
    assert counts.rows == {(bundle.version, 200, False): 5}
    assert counts.requests == 4
    with_rows = pd.DataFrame({"id": ["b", "b"], "row": [1, 0], "truth": ["late", "early"]})
    for file in ("labels.csv", "labels.parquet"):
        path = tmp_path / file
        with_rows.to_csv(path, index=False) if path.suffix == ".csv" else with_rows.to_parquet(path)
        joined = pd.concat(scan(storage, "flights", labels=path)).set_index(["id", "row"])["truth"]
        assert (joined["b", 0], joined["b", 1], joined["a", 0]) == ("early", "late", 0)
    with pytest.raises(LabelError, match="no column 'truth'"):
        requests(storage, "flights", labels=pd.DataFrame({"id": ["a"]}))


def test_versions_with_other_fields_are_read_together(
    served: Serve, spool: Path, storage: Storage, bundle: Bundle
) -> None:
    with served() as server:
        server.post(SELDON, message([tiny.RECORD], "new"))
    export(spool, storage)
    table = pq.read_table(pa.BufferReader(storage.get(storage.list("requests")[0])))
    old = table.drop_columns(["input.wind"]).to_pandas().assign(version="old", id="old")
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pandas(old, preserve_index=False), sink)
    storage.put("requests/flights/old/2026-01-01/somewhere.parquet", sink.getvalue().to_pybytes())
    frame = requests(storage, "flights").set_index("id")
    assert frame["input.wind"].notna().to_dict() == {"old": False, "new": True}
    assert requests(storage, "flights", version="old")["id"].tolist() == ["old"]
