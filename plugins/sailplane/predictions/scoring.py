"""Scores a dataset, partition by partition. Existing scores are kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final

import pyarrow as pa

from sailplane.bundles.bundle import Bundle
from sailplane.datasets.partitions import Partition
from sailplane.datasets.versions import THREADS, frames, partitions_of
from sailplane.errors import DataError, ModelError
from sailplane.files import temporary_folder
from sailplane.predictions.columns import Columns
from sailplane.predictions.manifest import publish
from sailplane.predictions.partitions import ScoredPartition, ScoredPartitions
from sailplane.predictions.rows import scored
from sailplane.predictions.tables import ScoredRows
from sailplane.records import Dataset, Interval, Predictions
from sailplane.registry.models import fetch_bundle
from sailplane.storage import Storage

# Rows in memory at a time. Other numbers may change the last bits of a score.
ROWS: Final = 32_768


def score(
    storage: Storage,
    *,
    bundle: str,
    dataset: Dataset,
    interval: Interval,
    digest: str | None = None,
    keep: Sequence[str] = (),
) -> Predictions:
    """Scores the days of `interval` with the bundle at this URI of the store.

    Each day is stored when it is done. A call after an interrupted one continues with the remaining days and produces
    the same files.
    Rows that the model refuses go to separate files, with the reason. `keep` names columns of the dataset to store
    with the scores, besides its times.

    Raises SchemaError if the dataset lacks a model input. Raises ModelError before scoring if the bundle is damaged,
    has another digest, or does not reproduce the scores of its golden rows. Raises DataError if no row gets a score.
    """
    with temporary_folder() as scratch:
        opened = fetch_bundle(storage, bundle, Path(scratch, "bundle"))
        if digest and opened.digest != digest:
            raise ModelError("fetch", bundle, got=f"digest {opened.digest[:12]}", expected=digest[:12])
        columns = Columns.of(opened.manifest, dataset, keep)
        opened.check()
        return _Scoring(storage, opened, dataset, columns).run(interval)


class _Scoring:
    def __init__(self, storage: Storage, bundle: Bundle, dataset: Dataset, columns: Columns) -> None:
        self._storage, self._bundle, self._columns = storage, bundle, columns
        self._dataset = dataset
        self._model, self._version = bundle.manifest.model, bundle.version
        folder = f"predictions/{self._model}/{self._version}/{dataset.name}"
        self._done = ScoredPartitions(storage=storage, folder=folder, columns=columns)

    def run(self, interval: Interval) -> Predictions:
        partitions = partitions_of(self._storage, self._dataset, interval)
        with ThreadPoolExecutor(THREADS) as threads:
            found = list(threads.map(self._done.find, partitions))
        done = len(partitions) - found.count(None)
        _print(
            f"{self._model} {self._version} on {self._dataset.name} {interval}: {done} of {len(partitions)} days done"
        )
        days = [known or self._score(partition) for partition, known in zip(partitions, found, strict=True)]
        self._check_any(days, interval)
        predictions = publish(
            self._done, dataset=self._dataset, model=self._model, version=self._version, interval=interval, days=days
        )
        _print(f"{predictions.rows} rows have scores, {predictions.rejected} were rejected: {predictions.uri}")
        return predictions

    def _score(self, partition: Partition) -> ScoredPartition:
        written = self._done.write(partition, self._tables(partition))
        refused = f", {written.refused} rejected, first reason: {written.reason}" if written.refused else ""
        _print(f"{written.day}: {written.rows} rows{refused}")
        return written

    def _tables(self, partition: Partition) -> Iterator[tuple[pa.Table, pa.Table]]:
        first, read = 0, replace(self._dataset, schema=self._columns.read)
        for frame in frames(self._storage, read, partition, ROWS):
            batch = ScoredRows(day=partition.day, first=first, frame=frame, found=scored(self._bundle, frame))
            yield batch.scores(self._columns, self._version), batch.rejected(self._columns, self._version)
            first += len(frame)

    def _check_any(self, days: Sequence[ScoredPartition], interval: Interval) -> None:
        if any(day.rows for day in days):
            return
        rows, reason = sum(day.refused for day in days), next((day.reason for day in days if day.reason), None)
        raise DataError(
            "score",
            f"{self._dataset.name} {interval}",
            got=f"none of {rows} rows has a score{f', first reason: {reason}' if reason else ''}",
            expected=f"rows that {self._model} {self._version} accepts",
            remedy=f"See {self._storage.uri(self._done.folder)}/rejected for the rows and their reasons.",
        )


def _print(text: str) -> None:
    print(text, flush=True)  # noqa: T201
