"""Copies a whole store to another root. Each copy is read back and verified by its SHA-256.

A marker in the target says that a copy is in progress, so that a second call continues it; a journal in the home lists
the verified objects. The source is only read, except for a marker that a killed move left in it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Final, Protocol

from sailplane.errors import ConfigurationError, ConflictError, StorageError
from sailplane.files import private_folder, room_for
from sailplane.storage.backend import ObjectInfo
from sailplane.storage.roots import canonical
from sailplane.storage.store import EARLIER, IDENTITY, Storage
from sailplane.storage.transfer import TransferProgress

MARKER: Final = "sailplane-move.json"
# Code, environments and partitions are named by the SHA-256 of their content.
_DIGEST_NAME: Final = re.compile(r"/(?P<digest>[0-9a-f]{64})\.\w+$")
_AT_A_TIME: Final = 8
# How often an object is copied if it changes meanwhile or its copy differs.
_TRIES: Final = 3
# How often the source is listed and copied until it stays unchanged.
_ROUNDS: Final = 5
Tell = Callable[[TransferProgress], None]


class Copy:
    """:param journal: a file of this machine, kept until `close`"""

    def __init__(self, source: Storage, target: Storage, journal: Path) -> None:
        self._source, self._target, self._journal = source, target, _Journal(journal)
        # Objects of the source whose content does not have the digest in their name.
        self.damaged: list[str] = []

    def begin(self) -> None:
        """Raises ConfigurationError if the target is the source, lies inside or around it, or holds other objects."""
        require_apart(self._source.root, self._target.root)
        if not self._target.exists(MARKER):
            self._require_empty()
            # Left by the move to this source, if it was killed at its very end.
            self._source.delete(MARKER)
            self._target.put(MARKER, json.dumps({"from": self._source.root}).encode())
        if self._source.exists(MARKER):
            # Two names of one folder.
            self._target.delete(MARKER)
            raise _refusal(self._target.root, "it is the store itself under another name")
        remedy = "Empty that location and run the command again."
        if (other := self._target.read_json(MARKER, lambda marker: marker["from"], remedy)) != self._source.root:
            raise _refusal(self._target.root, f"it holds an unfinished copy of {other}")

    def run(self, tell: Tell) -> TransferProgress:
        """Copies until the target equals the source. Raises StorageError for a copy that cannot be verified,
        ConflictError for a source that keeps changing."""
        for _ in range(_ROUNDS):
            entries = self._entries(self._source)
            progress = self._copy(list(entries.values()), tell)
            for path in self._entries(self._target).keys() - entries.keys():
                self._target.delete(path)
            if self._entries(self._source) == entries:
                return progress
        raise ConflictError(
            "copy", self._source.root, got="it keeps changing", remedy="Stop the processes that write to it."
        )

    def publish(self) -> None:
        """Prepares the target to be the store: writes the store's earlier roots to it."""
        about = self._source.read_json(IDENTITY, dict) if self._source.exists(IDENTITY) else {}
        earlier = [root for root in (*about.get(EARLIER, ()), self._source.root) if root != self._target.root]
        self._target.put(IDENTITY, json.dumps({**about, EARLIER: list(dict.fromkeys(earlier))}).encode())

    def close(self) -> None:
        """Ends the move: removes the marker and the journal."""
        self._target.delete(MARKER)
        self._journal.forget()

    def _require_empty(self) -> None:
        found = next(iter(self._target.entries()), None)
        if found is not None:
            raise _refusal(self._target.root, f"it is not empty: it holds {found.path}")

    def _entries(self, storage: Storage) -> dict[str, ObjectInfo]:
        return {entry.path: entry for entry in storage.entries() if entry.path not in (MARKER, IDENTITY)}

    def _copy(self, entries: list[ObjectInfo], tell: Tell) -> TransferProgress:
        progress, turn = (
            TransferProgress(all_objects=len(entries), all_bytes=sum(entry.size for entry in entries)),
            Lock(),
        )

        def copied(entry: ObjectInfo) -> None:
            nonlocal progress
            self._copied(entry)
            with turn:
                done, size = progress.objects + 1, progress.bytes + entry.size
                progress = TransferProgress(
                    objects=done, bytes=size, all_objects=progress.all_objects, all_bytes=progress.all_bytes
                )
                tell(progress)

        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            running = [pool.submit(copied, entry) for entry in entries]
            try:
                for future in running:
                    future.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return progress

    def _copied(self, entry: ObjectInfo) -> None:
        path, found, read = entry.path, "", ""
        if self._journal.knows(entry, self._etag(path)):
            return
        for _ in range(_TRIES):
            digest = hashlib.sha256()
            try:
                self._target.put(path, _through(digest, self._source.stream(path)))
            except ConflictError:
                continue  # it was replaced while it was read
            except FileNotFoundError:
                return  # it was deleted; the next round sees that
            found, read = self._target.checksum(path), digest.hexdigest()
            if found == read:
                if (named := _DIGEST_NAME.search(path)) and named["digest"] != read:
                    self.damaged.append(path)
                self._journal.add(entry, self._etag(path))
                return
        if not found:
            raise ConflictError(
                "copy",
                self._source.uri(path),
                got="it keeps being replaced",
                remedy="Stop the processes that write to it.",
            )
        raise StorageError(
            "verify",
            self._target.uri(path),
            got=f"SHA-256 {found[:12]} after {_TRIES} copies",
            expected=read[:12],
            remedy="Check the target and run the command again: it continues. The store has not moved.",
        )

    def _etag(self, path: str) -> str | None:
        try:
            return self._target.head(path).etag
        except FileNotFoundError:
            return None


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...


class _Journal:
    """The verified objects, with their etags on both sides, so that changed objects are copied again."""

    def __init__(self, file: Path) -> None:
        self._file, self._turn = file, Lock()
        self._known: dict[str, list[str | None]] = dict(self._read())

    def knows(self, entry: ObjectInfo, etag: str | None) -> bool:
        return etag is not None and self._known.get(entry.path) == [entry.etag, etag]

    def add(self, entry: ObjectInfo, etag: str | None) -> None:
        with self._turn, room_for(self._file), self._file.open("a") as file:
            file.write(json.dumps([entry.path, entry.etag, etag]) + "\n")
            self._known[entry.path] = [entry.etag, etag]

    def forget(self) -> None:
        self._file.unlink(missing_ok=True)

    def _read(self) -> Iterator[tuple[str, list[str | None]]]:
        private_folder(self._file.parent)
        for line in self._file.read_text().splitlines() if self._file.exists() else ():
            # The last line is cut if its writer was killed.
            with suppress(ValueError):
                path, *etags = json.loads(line)
                yield path, etags


def _through(digest: _Digest, pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        digest.update(piece)
        yield piece


def require_apart(source: str, target: str) -> None:
    """Raises ConfigurationError if these roots are equal, or one is inside the other."""
    inner, outer = f"{canonical(target)}/", f"{canonical(source)}/"
    if inner == outer:
        raise _refusal(target, "it is the store itself")
    if inner.startswith(outer) or outer.startswith(inner):
        raise _refusal(target, f"it is inside the store or around it: the store is {source}")


def _refusal(target: str, got: str) -> ConfigurationError:
    return ConfigurationError("move the store to", target, got=got, expected="an empty location outside the store")
