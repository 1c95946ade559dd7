"""What of a shared sweep lies on the store: the data of its trials, and the checkpoints of its remote workers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sailplane.errors import ServiceError
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.storage import Storage
from sailplane.sweeps import results
from sailplane.training.shelf import path_of


class Stored:
    def __init__(self, sweep: str) -> None:
        self._sweep, self._storage = sweep, Storage(Home.find().store)

    def has_data(self) -> bool:
        return self._storage.exists(self._data)

    def data(self) -> Iterator[bytes]:
        return self._found(self._data)

    def keep_data(self, file: Path) -> None:
        self._storage.put(self._data, file)

    def has_checkpoint(self, number: int) -> bool:
        return self._storage.exists(path_of(self._sweep, number))

    def checkpoint(self, number: int) -> Iterator[bytes]:
        return self._found(path_of(self._sweep, number))

    def keep_checkpoint(self, number: int, file: Path) -> None:
        self._storage.put(path_of(self._sweep, number), file)

    def forget(self, number: int) -> None:
        """The checkpoint of a trial that needs none any more."""
        if self.has_checkpoint(number):
            self._storage.delete(path_of(self._sweep, number))

    def keep_the_best(self, ledger: Ledger, finished: int) -> None:
        """Of trials that finished elsewhere only the best one's checkpoint stays: its model is made from that."""
        config = results.read(ledger, self._sweep).config
        leaders = results.ranked(config, results.trials(ledger, self._sweep))
        beaten = leaders[1:2] if leaders[0].number == finished else [t for t in leaders if t.number == finished]
        for trial in beaten:
            self.forget(trial.number)

    @property
    def _data(self) -> str:
        return f"runs/{self._sweep}/data.npz"

    def _found(self, path: str) -> Iterator[bytes]:
        if not self._storage.exists(path):
            raise ServiceError("read", path, got="the store has none", remedy="Ask first whether there is one.")
        return self._storage.stream(path)
