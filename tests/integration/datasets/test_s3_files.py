"""Datasets from files in a real S3."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa
import pytest
from pandera.pandas import Column, DataFrameSchema

from sailplane.datasets import ingest, load
from sailplane.datasets.files import Files
from sailplane.errors import AccessError, StorageError
from sailplane.records import Interval
from sailplane.storage.store import Storage
from tests.s3 import S3Server, s3_server

SCHEMA = DataFrameSchema(
    {"time": Column(pd.DatetimeTZDtype("us", "UTC")), "size": Column(float), "name": Column(str, nullable=True)}
)
WEEK = Interval(start=datetime(2024, 2, 26, tzinfo=UTC), end=datetime(2024, 3, 4, tzinfo=UTC))
PATTERN = "s3://sailplane/sizes of things/{data_interval_start:%Y-%m-%d}/*"


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


def rows(day: datetime, part: int) -> pd.DataFrame:
    times = pd.date_range(day, periods=1000, freq="80s", unit="us") + pd.Timedelta(seconds=part)
    return pd.DataFrame({"time": times, "size": 0.5 + part, "name": [f"ü {number}" for number in range(1000)]})


@pytest.fixture(scope="module")
def files(server) -> None:
    """Three files for each day in three formats, and many files that belong to no day."""
    for day in WEEK.days:
        for part, frame in enumerate(rows(day, part) for part in range(3)):
            texts = frame.to_csv(index=False), frame.to_json(orient="records", lines=True, date_format="iso")
            name, data = [
                ("0.csv.gz", gzip.compress(texts[0].encode())),
                ("1 #%?.jsonl.zst", pa.compress(texts[1].encode(), "zstd", asbytes=True)),
                ("2.parquet", frame.to_parquet()),
            ][part]
            key = f"sizes of things/{day:%Y-%m-%d}/{name}"
            server.client.put_object(Bucket=server.bucket, Key=key, Body=data)
    for key in ("sizes of things/2024-02-26/_SUCCESS", "sizes of things/2023-01-01/broken.csv", "broken.csv"):
        server.client.put_object(Bucket=server.bucket, Key=key, Body=b"no,columns\n")


def opened(server: S3Server, **changes):
    return lambda root: Storage(root, lambda: replace(server.access, **changes))


def test_files_in_s3_become_a_dataset(server, files, tmp_path):
    store = Storage(tmp_path.as_uri())
    extract = Files(PATTERN, schema=SCHEMA, time="time", open_storage=opened(server))
    dataset = ingest(store, name="sizes", extract=extract, schema=SCHEMA, time="time", interval=WEEK)
    assert (dataset.rows, dataset.quarantined) == (21_000, 0)
    expected = pd.concat([rows(day, part) for day in WEEK.days for part in range(3)])
    expected = expected.sort_values("time", kind="stable").reset_index(drop=True)
    pd.testing.assert_frame_equal(load(store, dataset), expected.astype({"time": "datetime64[us, UTC]"}))


def test_an_object_that_is_put_again_with_other_rows_is_a_new_version_of_its_day_alone(server, files, tmp_path):
    """The source is in a bucket, with its etags, and so are the markers of the dataset."""
    store = Storage("s3://sailplane/store", lambda: server.access)
    start, reads = WEEK.days[0], []

    class Watched(Storage):
        def stream(self, path):
            reads.append(path)
            return super().stream(path)

    extract = Files(PATTERN, schema=SCHEMA, time="time", open_storage=lambda root: Watched(root, lambda: server.access))
    given = {"name": "sizes", "extract": extract, "schema": SCHEMA, "time": "time", "interval": WEEK}
    told: list[str] = []
    first = ingest(store, **given)
    reads.clear()
    assert ingest(store, **given, tell=told.append) == first
    assert (reads, told) == ([], [])
    key = f"sizes of things/{start:%Y-%m-%d}/2.parquet"
    whole = server.client.get_object(Bucket=server.bucket, Key=key)["Body"].read()
    try:
        server.client.put_object(Bucket=server.bucket, Key=key, Body=rows(start, 2).head(999).to_parquet())
        second = ingest(store, **given, tell=told.append)
        assert (first.rows - second.rows, second.revised) == (1, ("2024-02-26 in version 2",))
        assert {path.partition("/")[0] for path in reads} == {"2024-02-26"}
        (said,) = told
        assert said.startswith("2024-02-26: ingested again (source changed: 2024-02-26/2.parquet, ")
        assert len(load(store, first)) == first.rows
        # Equal objects have equal etags, whatever their age.
        server.client.put_object(Bucket=server.bucket, Key=key, Body=rows(start, 2).head(999).to_parquet())
        assert ingest(store, **given) == second
    finally:
        server.client.put_object(Bucket=server.bucket, Key=key, Body=whole)


def test_a_wrong_secret_is_one_error_without_it(server, files):
    extract = Files(PATTERN, schema=SCHEMA, time="time", open_storage=opened(server, secret="geheim"))
    with pytest.raises(AccessError, match="s3://sailplane/sizes of things") as caught:
        extract(WEEK.start, WEEK.end)
    assert "geheim" not in str(caught.value)
    assert str(server.access.key) not in str(caught.value)


def test_a_bucket_that_is_not_there_is_named(server):
    pattern = PATTERN.replace("sailplane", "nowhere")
    extract = Files(pattern, schema=SCHEMA, time="time", open_storage=opened(server))
    with pytest.raises(StorageError, match=r"nowhere.*no such bucket"):
        extract(WEEK.start, WEEK.end)
