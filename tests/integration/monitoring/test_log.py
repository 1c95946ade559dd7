"""The log of requests, from a real server to frames."""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pandas as pd
import pytest

from sailplane.bundles.bundle import Bundle
from sailplane.bundles.columns import plain_records
from sailplane.errors import DataError, StorageError
from sailplane.ledger import Ledger
from sailplane.monitoring import export, requests
from sailplane.registry.garbage import Collector
from sailplane.serving.open_inference import messages_pb2 as open_inference_pb2
from sailplane.serving.request_log import FLUSH_SECONDS
from sailplane.serving.spool import files
from sailplane.storage import Storage
from tests.background_load import asked_all_the_time
from tests.integration.monitoring.conftest import SELDON, Serve, message
from tests.integration.serving.model_server import Server
from tests.platform import until
from tests.unit.bundles import tiny

RECORDS = plain_records(tiny.frame(64, seed=3), tiny.INPUTS)
messages: Any = open_inference_pb2


def tensors(record: dict[str, Any]) -> list[dict[str, Any]]:
    kinds = {"number": "FP64", "integer": "INT64", "boolean": "BOOL"}
    return [
        {"name": one.name, "shape": [1], "datatype": kinds.get(one.kind, "BYTES"), "data": [record[one.name]]}
        for one in tiny.INPUTS
    ]


@contextmanager
def answered(server: Server) -> Iterator[dict[str, list[float]]]:
    """Yields the answers to requests that are sent meanwhile, by id."""
    answers: dict[str, list[float]] = {}
    numbers, chance = itertools.count(), random.Random(0)
    url = f"http://127.0.0.1:{server.port}{SELDON}"

    def ask(client: httpx.Client) -> None:
        puid, records = str(next(numbers)), chance.sample(RECORDS, k=chance.choice([1, 1, 1, 3]))
        answer = client.post(url, json=message(records, puid))
        assert answer.status_code == 200
        answers[puid] = [score for [score] in answer.json()["data"]["ndarray"]]

    with asked_all_the_time(ask, clients=4):
        yield answers


def test_every_answered_request_is_on_the_store_once_with_what_it_got(
    served: Serve, spool: Path, storage: Storage, bundle: Bundle
) -> None:
    with served() as server, answered(server) as answers:
        until(lambda: len(answers) > 500 or None, 60, "requests")
    exported = export(spool, storage)
    frame = requests(storage, "flights")
    assert (exported.rows, exported.dropped) == (len(frame), 0)
    assert not frame.duplicated(["id", "row"]).any()
    logged = {name: group["prediction.late"].tolist() for name, group in frame.groupby("id")}
    assert {name: np.float32(scores).tolist() for name, scores in answers.items()} == logged
    again = bundle.predict(pd.DataFrame({field.name: frame[f"input.{field.name}"] for field in tiny.INPUTS}))
    np.testing.assert_allclose(again[:, 0], frame["prediction.late"], atol=1e-6)
    assert set(frame["version"]) == {bundle.version}
    assert frame["seconds"].between(0, 30).all()
    assert (datetime.now(UTC) - frame["time"]).between(timedelta(0), timedelta(minutes=5)).all()
    assert list(spool.rglob("*.spool")) == []


def test_each_protocol_is_logged_alike_and_refused_requests_with_the_reason(
    served: Serve, spool: Path, storage: Storage
) -> None:
    record, fields = tiny.RECORD, [field.name for field in tiny.INPUTS]
    with served() as server:
        data = {"names": fields[::-1], "ndarray": [list(record.values())[::-1]]}
        server.post(SELDON, {"data": data, "meta": {"puid": "seldon"}})
        server.post("/v2/models/flights/infer", {"id": "v2", "inputs": tensors(record)})
        asked = messages.ModelInferRequest(model_name="flights", id="grpc")
        contents = {"FP64": "fp64_contents", "INT64": "int64_contents", "BOOL": "bool_contents"}
        for one in tensors(record):
            tensor = asked.inputs.add(name=one["name"], datatype=one["datatype"], shape=[1])
            data = [value.encode() if isinstance(value, str) else value for value in one["data"]]
            getattr(tensor.contents, contents.get(one["datatype"], "bytes_contents")).extend(data)
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
            call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            _, told = call.with_call(asked.SerializeToString())
            assert ("seldon-puid", "grpc") in [tuple(one) for one in told.trailing_metadata()]
            with pytest.raises(grpc.RpcError):
                call(messages.ModelInferRequest(model_name="flights").SerializeToString())
        shadow = {"x-sailplane-shadow": "true"}
        assert server.post(SELDON, message([record], "copy"), headers=shadow).status_code == 200
        assert server.post(SELDON, message([{**record, "distance": "far"}], "bad")).status_code == 400
        deep: dict[str, Any] = {}
        for _ in range(400):
            deep = {"a": deep}
        tagged = {"jsonData": record, "meta": {"puid": "tags", "tags": deep}}
        assert server.post(SELDON, tagged).status_code == 400
    export(spool, storage)
    frame = requests(storage, "flights").set_index("id")
    good = frame.loc[["seldon", "v2", "grpc", "copy"]]
    assert good["protocol"].tolist() == ["seldon", "open_inference", "open_inference_grpc", "seldon"]
    assert good["shadow"].tolist() == [False, False, False, True]
    assert good["prediction.late"].nunique() == 1
    assert (good["input.distance"] == 1400).all()
    assert good["input.seats"].tolist() == [150] * 4
    assert (good["input.scheduled"] == pd.Timestamp("2013-07-05T14:00Z")).all()
    bad = frame.loc["bad"]
    assert (bad["status"], bad["row"]) == (400, 0)
    assert "field 'distance' of row 0" in bad["error"]
    assert bad[["input.distance", "input.carrier", "prediction.late"]].isna().all()
    assert frame.loc["tags", "status"] == 400
    [unnamed] = frame[(frame["protocol"] == "open_inference_grpc") & (frame["status"] == 400)].index
    assert len(unnamed) == 32
    assert frame.dtypes[["status", "shadow", "input.seats"]].map(str).tolist() == ["int16", "boolean", "Int64"]


def test_a_server_that_is_killed_loses_what_came_in_its_last_moments_and_no_more(
    served: Serve, spool: Path, storage: Storage
) -> None:
    times: dict[str, float] = {}
    with served() as server:
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as client:
            end = time.monotonic() + 4 * FLUSH_SECONDS
            while time.monotonic() < end:
                puid = str(len(times))
                assert client.post(SELDON, json=message([tiny.RECORD], puid)).status_code == 200
                times[puid] = time.monotonic()
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        killed = time.monotonic()
    export(spool, storage)
    lost = times.keys() - set(requests(storage, "flights")["id"])
    # Some more time, for a machine on which threads wait for their turn.
    assert all(killed - times[puid] < FLUSH_SECONDS + 0.5 for puid in lost)
    assert len(lost) < len(times)


def test_a_store_that_is_away_is_waited_for_and_nothing_is_there_twice(
    served: Serve, spool: Path, tmp_path: Path, bundle: Bundle
) -> None:
    with served() as server:
        for number in range(20):
            server.post(SELDON, message([tiny.RECORD], str(number)))
    root = tmp_path / "away"
    root.write_text("a file where the store is to be")
    with pytest.raises((StorageError, OSError)):
        export(spool, Storage(root.as_uri()))
    [left] = files(spool)
    copy = left.read_bytes()
    root.unlink()
    back = Storage(root.as_uri())
    assert export(spool, back).rows == 20
    # As if the process had been killed before it removed the file.
    left.write_bytes(copy)
    assert len(requests(back, "flights", spool=spool)) == 20
    assert export(spool, back).rows == 20
    assert sorted(requests(back, "flights")["id"].astype(int)) == list(range(20))
    assert export(spool, back).files == 0
    [path] = back.list("requests")
    assert path.startswith(f"requests/flights/{bundle.version}/{datetime.now(UTC):%Y-}")
    assert Collector(Ledger.create("sqlite:///:memory:"), back, grace_seconds=-1).find().objects == ()


def test_what_is_still_being_written_is_read_beside_what_is_on_the_store(
    served: Serve, spool: Path, storage: Storage
) -> None:
    with served() as server:
        server.post(SELDON, message([tiny.RECORD], "1"))
    export(spool, storage)
    with served() as server:
        server.post(SELDON, message([tiny.RECORD], "2"))
        found = until(lambda: _ids(storage, spool) if len(_ids(storage, spool)) > 1 else None, 30, "the second one")
        assert found == ["1", "2"]
        # The server continues to write it.
        assert export(spool, storage).files == 0
    with pytest.raises(DataError, match="flights: none from 2020-01-01 to 2020-01-02"):
        requests(storage, "flights", since=datetime(2020, 1, 1).date(), until=datetime(2020, 1, 2).date())


def _ids(storage: Storage, spool: Path) -> list[str]:
    return requests(storage, "flights", spool=spool)["id"].tolist()
