"""The garbage collector: finds unreferenced objects in the store, and moves them to the store's trash.

An object is garbage if it is older than the grace period and unreferenced: by registered versions, evaluated runs,
sweeps that are open or were active within the grace period, and running processes. A dataset's partition is also kept
by a manifest that one of these references, or that was published within the grace period. Model versions are removed
first, in the transaction that finds them unused: those that are not among the newest, carry no alias and are not
deployed.

Objects are copied to the trash, and deleted from there after a week (trash.py). Then they are checked again and
deleted, a few at a time, in one transaction of the ledger, so that nothing becomes referenced in between. An object
that is used again is put again (Storage.keep), which makes it young.
"""

from __future__ import annotations

import json
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from sailplane.datasets.markers import chained
from sailplane.datasets.partitions import Partition, data_path
from sailplane.errors import ConfigurationError
from sailplane.ledger import Ledger
from sailplane.ledger.tables import models
from sailplane.registry import trash, version_records
from sailplane.registry.references import FOLDERS, Key, References, read, unused_versions
from sailplane.storage import ObjectInfo, Storage
from sailplane.storage.store import FRESH

KEEP: Final = 5
GRACE_SECONDS: Final = 7 * 86400.0
# The number of objects deleted in one transaction; other writers of the ledger wait for it.
BATCH: Final = 20
_MANIFEST: Final = re.compile(r"datasets/(?P<name>.+)/versions/(?P<version>[^/]+)\.json")
_DAY: Final = re.compile(r"(?P<day>datasets/.+/(?:partitions|quarantine)/\d{4}-\d\d-\d\d)/[^/]+\.(?:parquet|json)")
_BUNDLE: Final = re.compile(r"/(?:bundle|baseline)/")
ReadJson = Callable[[ObjectInfo], Mapping[str, Any]]
# Returns the specifications of the running training processes.
Live = Callable[[], Iterable[Mapping[str, Any]]]


@dataclass(frozen=True)
class Garbage:
    """`versions` are pairs of model and version; `objects` are in the store, and `expired` ones in its trash."""

    versions: tuple[Key, ...]
    objects: tuple[ObjectInfo, ...]
    expired: tuple[ObjectInfo, ...] = ()

    @property
    def empty(self) -> bool:
        return not (self.versions or self.objects or self.expired)

    @property
    def bytes(self) -> int:
        return sum(entry.size for entry in self.objects)


class Collector:
    """:param live: the processes on this machine; those elsewhere are known by their sweep's trials, or have young
    objects"""

    def __init__(
        self,
        ledger: Ledger,
        storage: Storage,
        *,
        live: Live = lambda: (),
        keep: int = KEEP,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        if keep < 1:
            raise ConfigurationError("collect garbage", got=f"keep {keep}", expected="1 version or more")
        self._ledger, self._storage, self._live, self._keep = ledger, storage, live, keep
        self._grace = grace_seconds
        self._known: dict[ObjectInfo, dict[str, Any]] = {}

    def find(self) -> Garbage:
        """Finds garbage without deleting it. Raises LedgerError if the store holds models that the ledger does not
        know."""
        since = time.time() - self._grace
        entries = self._entries(*FOLDERS)
        version_records.refuse_unknown(self._ledger, self._storage, entries)
        with self._ledger.begin() as connection:
            versions = unused_versions(connection, self._storage.root, keep=self._keep, since=since)
            held = read(connection, self._live(), since=since, without=versions)
        _hold_datasets(held, entries, self._json, since)
        young = {_group(entry.path) for entry in entries if _is_young(entry, since)}
        unused = [entry for entry in entries if not held.hold(entry.path) and _group(entry.path) not in young]
        objects = tuple(sorted(unused, key=lambda entry: entry.path))
        return Garbage(tuple(versions), objects, tuple(trash.expired(self._storage)))

    def collect(self, found: Garbage | None = None) -> Garbage:
        """Deletes the garbage `found`, which a user may have confirmed. Returns what was moved to the trash or deleted
        from it."""
        found = found or self.find()
        versions = self._forget(found.versions)
        # A marker is deleted before its partition: without a marker the day is ingested again.
        objects = sorted(found.objects, key=lambda entry: (not entry.path.endswith(".json"), entry.path))
        deleted: list[ObjectInfo] = []
        for start in range(0, len(objects), BATCH):
            deleted += self._delete(objects[start : start + BATCH])
        for entry in found.expired:
            self._storage.delete(entry.path)
        trash.unmark_gone(self._storage)
        return Garbage(versions, tuple(sorted(deleted, key=lambda entry: entry.path)), found.expired)

    def _forget(self, versions: Sequence[Key]) -> tuple[Key, ...]:
        since = time.time() - self._grace
        trash.mark(self._storage, versions)
        with self._ledger.begin() as connection:
            now = unused_versions(connection, self._storage.root, keep=self._keep, since=since)
            still = set(now).intersection(versions)
            for name, version in still:
                connection.execute(sa.delete(models).where(models.c.name == name, models.c.version == version))
        for name, version in set(versions) - still:
            trash.unmark(self._storage, name, version)
        return tuple(sorted(still))

    def _delete(self, entries: Sequence[ObjectInfo]) -> list[ObjectInfo]:
        since, today = time.time() - self._grace, datetime.now(UTC).date()
        copies = {entry: trash.copy(self._storage, entry.path, today) for entry in entries}
        with self._ledger.begin() as connection:
            held = read(connection, self._live(), since=since)
            if any(entry.path.startswith("datasets/") for entry in entries):
                _hold_datasets(held, self._entries("runs", "datasets"), self._json, since)
            young = {group for group in map(_group, {entry.path for entry in entries}) if self._is_young(group, since)}
            free = [entry for entry in entries if not held.hold(entry.path) and _group(entry.path) not in young]
            deleted = [entry for entry in free if self._unchanged(entry)]
            for entry in deleted:
                self._storage.delete(entry.path)
        for entry, copy in copies.items():
            # The object is in use again, so its copy is not needed.
            if copy and entry not in deleted:
                self._storage.delete(copy)
        return deleted

    def _entries(self, *folders: str) -> list[ObjectInfo]:
        return [entry for folder in folders for entry in self._storage.entries(folder)]

    def _is_young(self, group: str, since: float) -> bool:
        """Whether an object was put into a run's or a version's folder meanwhile."""
        return group.startswith(("runs/", "models/")) and any(
            _is_young(entry, since) for entry in self._storage.entries(group)
        )

    def _unchanged(self, entry: ObjectInfo) -> bool:
        try:
            there = self._storage.head(entry.path)
        except FileNotFoundError:
            return False
        # S3 lists times to the millisecond, but gives a single object's time to the second.
        return there.etag == entry.etag and there.modified - entry.modified < timedelta(seconds=2)

    def _json(self, entry: ObjectInfo) -> dict[str, Any]:
        """The object's JSON; empty if it is missing or not a JSON object. Cached until the object changes."""
        if entry not in self._known:
            try:
                content = json.loads(self._storage.get(entry.path))
            except (FileNotFoundError, ValueError):
                content = None
            self._known[entry] = content if isinstance(content, dict) else {}
        return self._known[entry]


def _is_young(entry: ObjectInfo, since: float) -> bool:
    """Storage.keep does not put young objects again, so an object that it keeps may be in use for a day longer."""
    kept = entry.path.startswith(("code/", "environments/", "datasets/"))
    return entry.modified.timestamp() >= since - (FRESH.total_seconds() if kept else 0.0)


def _group(path: str) -> str:
    """The group of objects that age together: those of a run, of a version, or of a dataset's day."""
    if path.startswith("runs/"):
        return _BUNDLE.split(path)[0] if _BUNDLE.search(path) else path.rpartition("/")[0]
    if path.startswith("models/"):
        return path.rpartition("/")[0]
    found = _DAY.fullmatch(path)
    return found["day"] if found else path


def _hold_datasets(held: References, entries: Sequence[ObjectInfo], read_json: ReadJson, since: float) -> None:
    """Holds the partitions of referenced and young manifests, all unknown objects under datasets/, and everything of a
    dataset with an unreadable manifest."""
    _hold_datasets_of_runs(held, [entry for entry in entries if entry.path.startswith("runs/")], read_json, since)
    days: dict[str, list[ObjectInfo]] = defaultdict(list)
    for entry in entries:
        if found := _MANIFEST.fullmatch(entry.path):
            if found["version"] in held.versions or held.hold(entry.path) or _is_young(entry, since):
                held.paths.add(entry.path)
                _hold_partitions(held, found["name"], read_json(entry))
        elif found := _DAY.fullmatch(entry.path):
            days[found["day"]].append(entry)
        elif entry.path.startswith("datasets/"):
            held.paths.add(entry.path)
    # In this order a day's partitions come before its quarantine.
    for day in sorted(days):
        _hold_day(held, day, days, read_json, since)


def _hold_datasets_of_runs(held: References, runs: Sequence[ObjectInfo], read_json: ReadJson, since: float) -> None:
    """Holds the datasets of runs that stay: the ledger may not name them."""
    young = {_group(entry.path) for entry in runs if _is_young(entry, since)}
    for entry in runs:
        stays = held.hold(entry.path) or _group(entry.path) in young
        if stays and entry.path.endswith("/bundle/manifest.json"):
            held.versions.add(str(read_json(entry).get("dataset", "")))


def _hold_partitions(held: References, name: str, manifest: Mapping[str, Any]) -> None:
    try:
        listed = [Partition.from_dict(partition) for partition in manifest["partitions"]]
    except (KeyError, TypeError):
        held.folders.add(f"datasets/{name}/")
    else:
        held.paths.update(data_path(name, partition) for partition in listed)


def _hold_day(
    held: References, day: str, days: Mapping[str, Sequence[ObjectInfo]], read_json: ReadJson, since: float
) -> None:
    """Holds a marker whose rows are held, and the rows of a young marker. Rows in quarantine stay as long as a
    partition of the day."""
    there, partitions = days[day], days.get(day.replace("/quarantine/", "/partitions/"), ())
    stays = partitions is not there and any(held.hold(entry.path) for entry in partitions)
    if stays or any(_is_young(entry, since) for entry in there):
        held.folders.add(f"{day}/")
        return
    paths = {entry.path for entry in there}
    for entry in there:
        if entry.path.endswith(".json"):
            named = f"{day}/{read_json(entry).get('digest')}.parquet"
            if held.hold(named) or named not in paths:
                held.paths.add(entry.path)
            if not read_json(entry):
                # The marker is damaged, and restoring it needs the rows that it named.
                held.folders.add(f"{day}/")
    for chain in chained(there).values():
        # Without the newest marker an older one would become valid.
        if any(held.hold(entry.path) for entry in chain):
            held.paths.update((chain[-1].path, f"{day}/{read_json(chain[-1]).get('digest')}.parquet"))
