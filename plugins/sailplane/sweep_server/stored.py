"""The stored files of a shared sweep: the data of its trials and the checkpoints of its remote workers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sailplane import pairing
from sailplane.errors import ServiceError
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.sweeps import results
from sailplane.training.checkpoint_store import StoreShelf, folder_of


class Stored:
    """The files of one sweep in the store."""

    def __init__(self, sweep: str) -> None:
        self._sweep, self._storage = sweep, pairing.store(Home.find())

    def has_data(self) -> bool:
        return self._storage.exists(self._data)

    def data(self) -> Iterator[bytes]:
        """The file of `training.arrays.pack`. Raises ServiceError if there is none."""
        return self._stream(self._data)

    def keep_data(self, file: Path) -> None:
        self._storage.put(self._data, file)

    def shelf(self, number: int) -> StoreShelf:
        """The checkpoints of a trial."""
        return StoreShelf(self._storage, folder_of(self._sweep, number))

    def keep_the_best(self, ledger: Ledger, finished: int) -> None:
        """After trial `finished`, keeps only the checkpoints of the best trial: its model is made from them."""
        config = results.read(ledger, self._sweep).config
        leaders = results.ranked(config, results.trials(ledger, self._sweep))
        beaten = leaders[1:2] if leaders[0].number == finished else [t for t in leaders if t.number == finished]
        for trial in beaten:
            self.shelf(trial.number).clear()

    @property
    def _data(self) -> str:
        return f"runs/{self._sweep}/data.npz"

    def _stream(self, path: str) -> Iterator[bytes]:
        if not self._storage.exists(path):
            raise ServiceError("read", path, got="the store has none", remedy="Check first whether it exists.")
        return self._storage.stream(path)
