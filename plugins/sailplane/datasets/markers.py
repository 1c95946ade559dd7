"""The markers of partitions.py, which name the file of a day. A marker belongs to the chain of its schema and day."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import pyarrow as pa

from sailplane.datasets.fingerprints import Fingerprint
from sailplane.datasets.partitions import Partition, data_path, digest_of, parquet, remedy_for
from sailplane.errors import ConflictError, DataError
from sailplane.storage import ObjectInfo, Storage

NAME: Final = re.compile(r"(?P<schema>[0-9a-f]+)(?:_(?P<number>\d{6,}))?\.json")
# A writer gives up after it lost to other writers this many times.
TRIES: Final = 20


@dataclass(frozen=True, kw_only=True)
class Marker:
    """Names the file of a day. `number` is the position in the chain, from 1; `version` counts the changes of the day's
    rows. `source` is None if the source of the rows is unknown. `refresh` is a user's reason to read the day again, or
    empty."""

    partition: Partition
    schema: str
    number: int
    version: int
    made: datetime
    source: Fingerprint | None
    why: str = ""
    refresh: str = ""
    quarantine: str | None = None
    key: tuple[str, ...] = ()

    @classmethod
    def read(cls, storage: Storage, entry: ObjectInfo) -> Marker:
        """Reads a marker. Raises FileNotFoundError if it is gone, DataError if it is damaged."""
        return storage.read_json(entry.path, partial(cls._from_values, entry), remedy_for(entry.path))

    @classmethod
    def _from_values(cls, entry: ObjectInfo, values: Any) -> Marker:
        """Markers of earlier releases have no source."""
        schema, number = _schema_and_number(entry)
        return cls(
            partition=Partition.from_dict(values),
            schema=schema,
            number=number,
            version=values.get("version", 1),
            made=datetime.fromisoformat(values["made"]) if "made" in values else entry.modified,
            source=Fingerprint.from_dict(values["source"]) if values.get("source") else None,
            why=values.get("why", ""),
            refresh=values.get("refresh", ""),
            quarantine=values.get("quarantine"),
            key=tuple(values.get("key", ())),
        )

    def content(self, fields: Any) -> bytes:
        """The marker as JSON. `fields` are for human readers."""
        values = {**vars(self.partition), "version": self.version, "made": self.made.isoformat(), "why": self.why}
        values |= {"source": self.source.to_dict() if self.source else None}
        values |= {"refresh": self.refresh} if self.refresh else {}
        values |= {"quarantine": self.quarantine} if self.quarantine else {}
        return json.dumps({**values, "key": self.key, "schema": fields}, indent=1).encode()

    def path(self, name: str) -> str:
        number = "" if self.number == 1 else f"_{self.number:06}"
        return f"{folder(name, self.partition.day)}/{self.schema}{number}.json"


def folder(name: str, day: str) -> str:
    return f"datasets/{name}/partitions/{day}"


def chains(storage: Storage, name: str, day: str) -> dict[str, list[ObjectInfo]]:
    """The markers of a day by schema fingerprint, each chain in order."""
    return chained(storage.folder(folder(name, day)).entries)


def chained(entries: Iterable[ObjectInfo]) -> dict[str, list[ObjectInfo]]:
    """The markers among the entries of a day."""
    found: dict[str, list[ObjectInfo]] = {}
    for entry in entries:
        if NAME.fullmatch(entry.path.rpartition("/")[2]):
            found.setdefault(_schema_and_number(entry)[0], []).append(entry)
    return {schema: sorted(entries, key=_schema_and_number) for schema, entries in found.items()}


def newest(storage: Storage, name: str, day: str, schema: str) -> Marker | None:
    """The current marker of a day; None if the day has none."""
    for _ in range(TRIES):
        entries = chains(storage, name, day).get(schema)
        if not entries:
            return None
        try:
            return Marker.read(storage, entries[-1])
        except FileNotFoundError:
            # The garbage collector has deleted it meanwhile.
            continue
    raise _busy(storage, name, day)


@dataclass(frozen=True, kw_only=True)
class Partitions:
    """The partitions of one dataset under one schema, whose fingerprint is `schema`. `fields` are its columns; `key`
    names those that identify a row."""

    storage: Storage
    name: str
    schema: str
    fields: list[dict[str, Any]]
    key: tuple[str, ...] = ()

    def find(self, day: datetime) -> Marker | None:
        """The current marker of a day; None if it was not ingested."""
        return newest(self.storage, self.name, f"{day:%Y-%m-%d}", self.schema)

    def write(
        self,
        day: datetime,
        tables: tuple[pa.Table, pa.Table],
        *,
        source: Fingerprint | None = None,
        before: Marker | None = None,
        why: str = "",
    ) -> Marker:
        """Writes the day's good and bad rows. Returns their marker, or that of a faster writer. Writes nothing if rows
        and source equal those of the marker `before`."""
        good, bad = tables
        data = parquet(good)
        date = f"{day:%Y-%m-%d}"
        partition = Partition(day=date, digest=digest_of(data), rows=good.num_rows, quarantined=bad.num_rows)
        if before and (before.partition, before.source, before.refresh) == (partition, source, ""):
            return before
        self.storage.put(data_path(self.name, partition), data)
        return self._put(
            Marker(
                partition=partition,
                schema=self.schema,
                number=before.number + 1 if before else 1,
                version=_version(partition, before),
                made=datetime.now(UTC),
                source=source,
                why=why,
                quarantine=self._quarantine(date, bad),
                key=self.key,
            )
        )

    def adopt(self, marker: Marker, source: Fingerprint) -> Marker:
        """Writes a marker for the same rows, with `source` as their source."""
        return self._put(_next(marker, source=source, why="ingested by an earlier release, assumed up to date"))

    def _quarantine(self, date: str, bad: pa.Table) -> str | None:
        if not bad.num_rows:
            return None
        rejected = parquet(bad)
        digest = digest_of(rejected)
        self.storage.put(f"datasets/{self.name}/quarantine/{date}/{digest}.parquet", rejected)
        return digest

    def _put(self, marker: Marker) -> Marker:
        if self.storage.put_new(marker.path(self.name), marker.content(self.fields)):
            return marker
        return newest(self.storage, self.name, marker.partition.day, marker.schema) or marker


def request_refresh(storage: Storage, name: str, day: str, reason: str) -> bool:
    """Marks a day for the next ingestion to read again; until then it keeps its rows, unless its marker is damaged.
    Returns False if the day does not exist."""
    found = chains(storage, name, day)
    for schema in found:
        _request_refresh(storage, name, day, schema, reason)
    return bool(found)


def _request_refresh(storage: Storage, name: str, day: str, schema: str, reason: str) -> None:
    for _ in range(TRIES):
        marker = _newest_whole(storage, name, day, schema)
        if marker is None or marker.refresh:
            return
        marked = _next(marker, source=marker.source, why=marker.why, refresh=reason)
        fields = storage.read_json(marker.path(name), lambda values: values.get("schema"))
        if storage.put_new(marked.path(name), marked.content(fields)):
            return
    raise _busy(storage, name, day)


def _newest_whole(storage: Storage, name: str, day: str, schema: str) -> Marker | None:
    """The newest undamaged marker. Deletes damaged markers: their content is lost, so the day is read again."""
    for entry in reversed(chains(storage, name, day).get(schema, [])):
        try:
            return Marker.read(storage, entry)
        except DataError:
            storage.delete(entry.path)
        except FileNotFoundError:
            continue
    return None


def _next(marker: Marker, **changes: Any) -> Marker:
    values: Mapping[str, Any] = {**vars(marker), "number": marker.number + 1, "made": datetime.now(UTC), **changes}
    return Marker(**values)


def _version(partition: Partition, before: Marker | None) -> int:
    if before is None:
        return 1
    return before.version + (partition.digest != before.partition.digest)


def _schema_and_number(entry: ObjectInfo) -> tuple[str, int]:
    found = NAME.fullmatch(entry.path.rpartition("/")[2])
    return (found["schema"], int(found["number"] or 1)) if found else ("", 0)


def _busy(storage: Storage, name: str, day: str) -> ConflictError:
    got, remedy = f"{TRIES} other writers were faster", "Try again when fewer processes write this day."
    return ConflictError("mark", storage.uri(folder(name, day)), got=got, remedy=remedy)
