"""The partitions of a dataset in the store, one a day.

    datasets/<name>/partitions/<day>/<digest>.parquet         the good rows
    datasets/<name>/partitions/<day>/<fingerprint>.json       the first marker: names the file that holds the day
    datasets/<name>/partitions/<day>/<fingerprint>_<n>.json   the n-th marker, from 000002 on: names the current file
    datasets/<name>/quarantine/<day>/<digest>.parquet         the bad rows as text, with the reason

A partition exists once its marker exists. The marker is put last and create-only, so after a crash a reader sees
nothing or the previous version. If two writers put the same marker, the first wins and the second uses that marker; if
its source is outdated, the next ingestion notices. Markers never change: the one with the highest number counts. A
marker's name begins with the fingerprint of the schema, so a changed schema makes new partitions, and versions with the
old schema stay readable. Markers sorted by name are sorted by number: deleting them in that order never restores an
older marker.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from sailplane.errors import DataError
from sailplane.files import room_for, temporary_folder
from sailplane.storage import Storage

# Per column. Without a buffer, memory would hold a whole column of a row group.
BUFFER_BYTES: Final = 2**16
_DAY: Final = re.compile(r"datasets/(.+)/(?:partitions|quarantine)/(\d{4}-\d\d-\d\d)/")


@dataclass(frozen=True, kw_only=True)
class Partition:
    """A day's file: the SHA-256 of its content, its number of rows, and the number of rows in quarantine."""

    day: str
    digest: str
    rows: int
    quarantined: int

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        return cls(**{name: values[name] for name in ("day", "digest", "rows", "quarantined")})


def read(storage: Storage, name: str, partition: Partition) -> pa.Table:
    """The rows of a partition. Raises DataError if its file is missing or damaged."""
    return read_file(storage, data_path(name, partition), partition.digest)


def scan(
    storage: Storage, name: str, partition: Partition, rows: int, columns: Sequence[str] | None = None
) -> Iterator[pa.Table]:
    """Like `read`, with at most `rows` rows in memory; the file is downloaded to the local disk."""
    return scan_file(storage, data_path(name, partition), partition.digest, rows, columns)


def read_file(storage: Storage, path: str, digest: str) -> pa.Table:
    """The rows of a Parquet file with this SHA-256. Raises DataError if it is missing or has another digest."""
    try:
        data = storage.get(path)
        damage = None if digest_of(data) == digest else "its content has changed"
    except FileNotFoundError:
        damage = "it is gone"
    if damage:
        raise _damaged(storage, path, damage)
    return pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)


def scan_file(
    storage: Storage, path: str, digest: str, rows: int, columns: Sequence[str] | None = None
) -> Iterator[pa.Table]:
    """Like `read_file`, with at most `rows` rows at a time."""
    with temporary_folder() as scratch, room_for(scratch), (scratch / "partition.parquet").open("w+b") as file:
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
    """The path of a partition's rows in the store."""
    return f"datasets/{name}/partitions/{partition.day}/{partition.digest}.parquet"


def parquet(table: pa.Table) -> bytes:
    """The table as a Parquet file. Equal rows give equal bytes, even if they were cut from different tables."""
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
        expected="content with the digest in its name",
        remedy=remedy_for(path),
    )


def remedy_for(path: str) -> str:
    """The remedy for a damaged object of a day."""
    if found := _DAY.match(path):
        name, day = found.groups()
        command = f"`sailplane datasets refresh {name} --from {day} --to {day}`"
        return f"Restore it from a backup, or run {command}: the next run reads the day from its source again."
    return "Restore it from a backup, or delete its folder and rerun the task that wrote it."


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
