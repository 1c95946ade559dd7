"""Seldon's operator as a background thread."""

from __future__ import annotations

import threading

from tests.kubernetes.seldon import Seldon


class Working:
    """The operator works by itself and looks every few milliseconds: `with Working(seldon): ...`"""

    def __init__(self, seldon: Seldon, every: float = 0.01) -> None:
        self.seldon, self.every, self._over = seldon, every, threading.Event()
        self._thread = threading.Thread(target=self._work, name="seldon")

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._over.wait(self.every):
            self.seldon.look()
