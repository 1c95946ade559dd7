"""The partitions of a dataset in the store, one a day.

    datasets/<name>/partitions/<day>/<digest>.parquet         the good rows
    datasets/<name>/partitions/<day>/<fingerprint>.json       the marker: which file holds the day
    datasets/<name>/quarantine/<day>/<digest>.parquet         the bad rows as text, and the reason

A partition exists from the moment that its marker does, which is put last and create-only: after a crash before that, a
reader sees nothing; of two writers the first wins. The marker's name is the fingerprint of the schema, so that a
changed schema makes new partitions, and versions that were made by the old one stay readable.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from sailplane.errors import DataError
from sailplane.storage import Storage

# Of each column. Without a buffer all that a row group has of it would lie in memory.
BUFFER_BYTES: Final = 2**16


@dataclass(frozen=True, kw_only=True)
class Partition:
    day: str
    digest: str
    rows: int
    quarantined: int

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        return cls(**{name: values[name] for name in ("day", "digest", "rows", "quarantined")})


@dataclass(frozen=True, kw_only=True)
class Partitions:
    """The partitions of one dataset under one schema. `schema`: the fields, for people who read a marker."""

    storage: Storage
    name: str
    fingerprint: str
    schema: list[dict[str, Any]]

    def find(self, day: datetime) -> Partition | None:
        try:
            return Partition.from_dict(json.loads(self.storage.get(self._marker(f"{day:%Y-%m-%d}"))))
        except FileNotFoundError:
            return None

    def write(self, day: datetime, good: pa.Table, bad: pa.Table) -> Partition:
        """The partition of that day: this one, or the one that another writer finished first."""
        date = f"{day:%Y-%m-%d}"
        data = parquet(good)
        made = Partition(day=date, digest=_digest(data), rows=good.num_rows, quarantined=bad.num_rows)
        self.storage.put(data_path(self.name, made), data)
        if bad.num_rows:
            rejected = parquet(bad)
            self.storage.put(f"datasets/{self.name}/quarantine/{date}/{_digest(rejected)}.parquet", rejected)
        marker = {**vars(made), "schema": self.schema}
        if self.storage.put_new(self._marker(date), json.dumps(marker, indent=1).encode()):
            return made
        return self.find(day) or made

    def _marker(self, date: str) -> str:
        return f"datasets/{self.name}/partitions/{date}/{self.fingerprint}.json"


def read(storage: Storage, name: str, partition: Partition) -> pa.Table:
    """Raises DataError if the file is gone or is not what was written."""
    return read_file(storage, data_path(name, partition), partition.digest)


def scan(
    storage: Storage, name: str, partition: Partition, rows: int, columns: Sequence[str] | None = None
) -> Iterator[pa.Table]:
    """As `read`, at most so many rows at a time, and no more in memory: the file waits on this disk."""
    return scan_file(storage, data_path(name, partition), partition.digest, rows, columns)


def read_file(storage: Storage, path: str, digest: str) -> pa.Table:
    """Of a Parquet file with that SHA-256. Raises DataError if it is gone, or another one."""
    try:
        data = storage.get(path)
        damage = None if _digest(data) == digest else "its content has changed"
    except FileNotFoundError:
        damage = "it is gone"
    if damage:
        raise _damaged(storage, path, damage)
    return pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)


def scan_file(
    storage: Storage, path: str, digest: str, rows: int, columns: Sequence[str] | None = None
) -> Iterator[pa.Table]:
    """As `read_file`, at most so many rows at a time."""
    with tempfile.NamedTemporaryFile(prefix="sailplane-", suffix=".parquet") as file:
        try:
            found = hashlib.sha256()
            for part in storage.stream(path):
                found.update(part)
                file.write(part)
        except FileNotFoundError as error:
            raise _damaged(storage, path, "it is gone") from error
        if found.hexdigest() != digest:
            raise _damaged(storage, path, "its content has changed")
        file.flush()
        reader = pq.ParquetFile(file.name, buffer_size=BUFFER_BYTES, pre_buffer=False)
        for batch in reader.iter_batches(batch_size=rows, columns=columns, use_threads=False):
            yield pa.Table.from_batches([batch])


def data_path(name: str, partition: Partition) -> str:
    return f"datasets/{name}/partitions/{partition.day}/{partition.digest}.parquet"


def parquet(table: pa.Table) -> bytes:
    """The same rows give the same bytes, whatever table they were cut from."""
    sink = pa.BufferOutputStream()
    table = pa.concat_tables([table]).combine_chunks().replace_schema_metadata(None)
    pq.write_table(table, sink, compression="zstd", store_schema=False)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _damaged(storage: Storage, path: str, damage: str) -> DataError:
    return DataError(
        "read partition",
        storage.uri(path),
        got=damage,
        expected="the bytes that its name is the digest of",
        remedy="Restore it from a backup, or remove its folder and run again what wrote it.",
    )


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
