"""The error for a damaged object of a dataset names the object, and its remedy repairs the dataset."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sailplane.datasets import load
from sailplane.datasets.catalogue import current, version
from sailplane.datasets.copies import copy
from sailplane.datasets.markers import request_refresh
from sailplane.errors import DataError
from sailplane.records import Dataset, Interval
from sailplane.storage import Storage
from tests.unit.datasets.conftest import START, Source

DAMAGES = [b"", b'{"day": "2024-02-', b"[]", b"{}", b'"words"', b"\xff\xfe", b'{"day": null, "partitions": 3}']
FIRST = f"{START:%Y-%m-%d}"


def damage(store: Storage, kind: str, content: bytes) -> str:
    """Damages the first object of this kind. Returns its path."""
    path = next(path for path in store.list("datasets/flights") if f"/{kind}/" in path and path.endswith(".json"))
    store.put(path, content)
    return path


@pytest.mark.parametrize("content", DAMAGES)
def test_a_damaged_marker_is_named_with_the_command_that_mends_it(
    store: Storage, extract: Source, ingested: Callable[..., Dataset], week: Interval, content: bytes
) -> None:
    ingested(extract, week)
    path = damage(store, "partitions", content)
    command = f"`sailplane datasets refresh flights --from {FIRST} --to {FIRST}`"
    for read in (lambda: ingested(extract, week), lambda: current(store, "flights", [FIRST])):
        with pytest.raises(DataError, match="it is damaged") as error:
            read()
        assert store.uri(path) in str(error.value)
        assert command in str(error.value)


@pytest.mark.parametrize("before", [0, 1], ids=["the only one", "the newest one"])
def test_a_day_with_a_damaged_marker_is_read_again_when_it_is_asked_for(
    store: Storage, extract: Source, ingested: Callable[..., Dataset], week: Interval, before: int
) -> None:
    made = ingested(extract, week)
    rows = load(store, made)
    for _ in range(before):
        request_refresh(store, "flights", FIRST, "a test")
    day = [path for path in store.list(f"datasets/flights/partitions/{FIRST}") if path.endswith(".json")]
    store.put(sorted(day, key=len)[-1], b"{")
    assert request_refresh(store, "flights", FIRST, "a test")
    assert load(store, ingested(extract, week)).equals(rows)
    assert not current(store, "flights", [FIRST])[0].refresh


def test_a_damaged_partition_is_written_again_when_its_day_is_asked_for(
    store: Storage, extract: Source, ingested: Callable[..., Dataset], week: Interval
) -> None:
    made = ingested(extract, week)
    rows = load(store, made)
    path = next(path for path in store.list("datasets/flights") if path.endswith(".parquet"))
    store.put(path, store.get(path)[:100])
    with pytest.raises(DataError, match=f"datasets refresh flights --from {FIRST} --to {FIRST}"):
        load(store, made)
    request_refresh(store, "flights", FIRST, "a test")
    assert load(store, ingested(extract, week)).equals(rows)


@pytest.mark.parametrize("content", DAMAGES)
def test_a_damaged_version_is_named_and_is_written_again_by_the_next_ingestion(
    store: Storage, extract: Source, ingested: Callable[..., Dataset], week: Interval, content: bytes
) -> None:
    made = ingested(extract, week)
    damage(store, "versions", content)
    reads = (
        lambda: load(store, made),
        lambda: version(store, "flights", made.version),
        lambda: copy(store, made, store),
    )
    for read in reads:
        with pytest.raises(DataError, match=rf"{made.version}\.json: it is damaged.*ingest its days again"):
            read()
    assert len(load(store, ingested(extract, week))) == made.rows
