from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from sailplane.errors import StorageError
from sailplane.home import Home
from sailplane.storage import Storage


def path_of(sweep: str, number: int) -> str:
    return f"runs/{sweep}/trial-{number}/checkpoint.pt"


class StoreShelf:
    """A trial's checkpoint on the store: whoever takes over the trial goes on from it."""

    def __init__(self, sweep: str, number: int) -> None:
        self._storage = Storage(Home.find().store)
        self._path = path_of(sweep, number)

    def keep(self, file: Path) -> None:
        self._storage.put(self._path, file)

    def fetch(self, file: Path) -> None:
        if not self._storage.exists(self._path):
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        half = file.with_suffix(".fetched")
        with half.open("wb") as opened:
            opened.writelines(self._storage.stream(self._path))
        half.replace(file)

    def clear(self, ended: bool) -> None:
        """Unless the trial is another worker's by now. A checkpoint that stays does no harm."""
        if ended:
            with suppress(StorageError):
                self._storage.delete(self._path)
