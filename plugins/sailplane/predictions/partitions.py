"""The scores of a dataset's partitions in the store.

        predictions/<model>/<version>/<dataset>/scores/<day>/<key>.parquet      a row for each row with a score
        predictions/<model>/<version>/<dataset>/rejected/<day>/<key>.parquet    the other rows, with the reason
        predictions/<model>/<version>/<dataset>/scores/<day>/<key>.json         the marker: the partition's files
    predictions/<model>/<version>/<dataset>/<digest>.json                   a manifest: the partitions of an interval

The key is a digest of the partition's digest and of the columns read and carried. A partition is scored once its marker
exists. The marker is written last: after a crash before it, the partition is scored again, to the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from sailplane.datasets.partitions import Partition
from sailplane.files import temporary_folder
from sailplane.predictions.columns import Columns
from sailplane.storage import Storage

# Increase this when a change affects the files of equal keys.
FORMAT: Final = 1


@dataclass(frozen=True, kw_only=True)
class ScoredPartition:
    """The scores of a partition. `source` is the partition's digest; `scores` and `rejected` are paths, with the files'
    SHA-256 in `digest` and `rejected_digest`; `reason` is the first reason for a rejection."""

    day: str
    source: str
    rows: int
    scores: str
    digest: str
    refused: int = 0
    rejected: str | None = None
    rejected_digest: str | None = None
    reason: str | None = None

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class ScoredPartitions:
    """The scored partitions of one dataset and one model version, under `folder`."""

    storage: Storage
    folder: str
    columns: Columns

    def find(self, partition: Partition) -> ScoredPartition | None:
        try:
            return self.storage.read_json(
                self._path("scores", partition, "json"), ScoredPartition.from_dict, "Delete it and score again."
            )
        except FileNotFoundError:
            return None

    def write(self, partition: Partition, parts: Iterable[tuple[pa.Table, pa.Table]]) -> ScoredPartition:
        """Writes the scores and the rejected rows in `parts`, in order. Spools them to the local disk until
        complete."""
        with temporary_folder() as scratch:
            good, bad = Path(scratch, "scores.parquet"), Path(scratch, "rejected.parquet")
            reason = self._spool(good, bad, parts)
            scored = self._put(partition, good, bad, reason)
        self.storage.put(self._path("scores", partition, "json"), json.dumps(vars(scored), indent=1).encode())
        return scored

    def _spool(self, good: Path, bad: Path, parts: Iterable[tuple[pa.Table, pa.Table]]) -> str | None:
        """Writes the files and returns the first reason for a rejection."""
        reason = None
        options = {"compression": "zstd", "store_schema": False}
        with (
            pq.ParquetWriter(good, self.columns.scores, **options) as scores,
            pq.ParquetWriter(bad, self.columns.rejected, **options) as rejected,
        ):
            for scored, refused in parts:
                if scored.num_rows:
                    scores.write_table(scored)
                if refused.num_rows:
                    rejected.write_table(refused)
                    reason = reason or refused["reason"][0].as_py()
        return reason

    def _put(self, partition: Partition, good: Path, bad: Path, reason: str | None) -> ScoredPartition:
        refused = pq.read_metadata(bad).num_rows
        fields: dict[str, Any] = {
            "day": partition.day,
            "source": partition.digest,
            "refused": refused,
            "reason": reason,
        }
        if refused:
            fields |= {"rejected": self._path("rejected", partition, "parquet"), "rejected_digest": _digest(bad)}
            self.storage.put(fields["rejected"], bad)
        fields |= {"rows": pq.read_metadata(good).num_rows, "digest": _digest(good)}
        fields["scores"] = self._path("scores", partition, "parquet")
        self.storage.put(fields["scores"], good)
        return ScoredPartition(**fields)

    def _path(self, kind: str, partition: Partition, suffix: str) -> str:
        columns = [field.content() for field in self.columns.read], [field.name for field in self.columns.carried]
        content = json.dumps([FORMAT, partition.digest, *columns])
        return f"{self.folder}/{kind}/{partition.day}/{hashlib.sha256(content.encode()).hexdigest()[:16]}.{suffix}"


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
