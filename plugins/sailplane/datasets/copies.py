"""Copies of a dataset version in another store."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from sailplane.datasets.partitions import Partition, data_path
from sailplane.datasets.versions import MAKE_AGAIN, THREADS, listed_in
from sailplane.errors import DataError
from sailplane.records import Dataset
from sailplane.storage import Storage


def copy(source: Storage, dataset: Dataset, target: Storage) -> Dataset:
    """Copies the version, its manifest and its partitions to `target`. Raises DataError for missing or damaged
    files."""
    path = source.path(dataset.uri)
    manifest = _content(source, path, None)
    partitions = source.read_json(path, listed_in, MAKE_AGAIN)

    def move(partition: Partition) -> None:
        file = data_path(dataset.name, partition)
        target.put(file, _content(source, file, partition.digest))

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(move, partitions))
    target.put(path, manifest)
    return replace(dataset, uri=target.uri(path))


def _content(source: Storage, path: str, digest: str | None) -> bytes:
    try:
        content = source.get(path)
    except FileNotFoundError as error:
        remedy = "Restore it from a backup, or ingest its days again."
        raise DataError("copy", source.uri(path), got="it is gone", remedy=remedy) from error
    if digest and hashlib.sha256(content).hexdigest() != digest:
        raise DataError("copy", source.uri(path), got="its content has changed", expected=f"digest {digest[:12]}")
    return content
