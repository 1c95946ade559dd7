"""The checkpoints of a run in the store: `<folder>/<kind>-<number>-<SHA-256>.pt`. The newest two of each kind are kept.
The name includes the content's digest: a damaged checkpoint is skipped for the previous one."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from sailplane.errors import StorageError
from sailplane.storage import Storage

KEPT: Final = 2
_NAME: Final = re.compile(r"(last|best)-\d{9}-[0-9a-f]{64}\.pt")


def folder_of(sweep: str, number: int) -> str:
    """The folder of a trial, for any worker that trains it."""
    return f"runs/{sweep}/trial-{number}/checkpoints"


class StoreShelf:
    """Keeps checkpoints in a folder of the store. See `checkpoints.Shelf`."""

    def __init__(self, storage: Storage, folder: str) -> None:
        self._storage, self.folder = storage, folder
        self._names: dict[str, list[str]] = {}

    def keep(self, file: Path, kind: str) -> None:
        """Stores the file as the newest checkpoint of its kind, and deletes all but the newest two."""
        names = self._of(kind)
        number = _number(names[-1]) + 1 if names else 0
        name = f"{kind}-{number:09d}-{_digest(file)}.pt"
        self._storage.put(f"{self.folder}/{name}", file)
        names.append(name)
        while len(names) > KEPT:
            # A leftover checkpoint does no harm.
            with suppress(StorageError, FileNotFoundError):
                self._storage.delete(f"{self.folder}/{names.pop(0)}")

    def fetch(self, file: Path, kind: str) -> bool:
        """Copies the newest intact checkpoint to `file`; False if there is none."""
        self._names.pop(kind, None)
        return any(self._is_whole(name, file) for name in reversed(self._of(kind)))

    def has(self, kind: str) -> bool:
        """Whether there is a checkpoint of this kind, which may be damaged."""
        self._names.pop(kind, None)
        return bool(self._of(kind))

    def clear(self) -> None:
        """Deletes all checkpoints. If the store is unreachable they stay, which does no harm."""
        self._names.clear()
        with suppress(StorageError):
            for path in self._storage.list(self.folder):
                self._storage.delete(path)

    def _of(self, kind: str) -> list[str]:
        """Names, oldest first."""
        if kind not in self._names:
            found = (path.rpartition("/")[2] for path in self._storage.list(self.folder))
            self._names[kind] = sorted(name for name in found if _NAME.fullmatch(name) and name.startswith(kind))
        return self._names[kind]

    def _is_whole(self, name: str, file: Path) -> bool:
        half = file.with_suffix(".fetched")
        try:
            with half.open("wb") as opened:
                opened.writelines(self._storage.stream(f"{self.folder}/{name}"))
        except FileNotFoundError:
            # Another process holds the trial now and has kept newer checkpoints.
            return False
        if (got := _digest(half)) == _digest_of(name):
            half.replace(file)
            return True
        half.unlink()
        print(f"checkpoint {name} is damaged: its content has digest {got[:12]}; using the previous one.", flush=True)  # noqa: T201
        return False


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _number(name: str) -> int:
    return int(name.split("-")[1])


def _digest_of(name: str) -> str:
    return name.removesuffix(".pt").rpartition("-")[2]
