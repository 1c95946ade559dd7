"""Who asks a model at the cluster's gateway."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sailplane.registry.columns import plain_records
from tests.kubernetes_server import KubernetesServer
from tests.unit.registry import tiny

RECORDS = plain_records(tiny.frame(64, seed=3), tiny.INPUTS)
# It scores its golden rows, and fails on each request of one row; or answers it late.
FAULTY = tiny.FEATURES.replace("    numbers =", "    if len(frame) == 1: 1 / 0\n    numbers =")
SLOW = tiny.FEATURES.replace("    numbers =", "    if len(frame) == 1: time.sleep(0.05)\n    numbers =")
SLOW = SLOW.replace("import numpy", "import time\nimport numpy", 1)


class Mesh:
    """A request goes to one predictor, by the weights of this moment, and a copy of it to the mirror. `answers` counts
    what clients saw, by status and predictor."""

    def __init__(self, server: KubernetesServer, model: str) -> None:
        self.server, self.model, self.chance = server, model, random.Random(5)
        self.answers: Counter[tuple[int, str]] = Counter()

    def ask(self, times: int = 1) -> None:
        for _ in range(times):
            routes, mirror = self.server.seldon.routes.get(self.model, {}), self.server.seldon.mirrors.get(self.model)
            [predictor] = self.chance.choices(list(routes), [*routes.values()])
            body = json.dumps({"jsonData": self.chance.choice(RECORDS)}).encode()
            self.answers[self._sent(predictor, body), predictor] += 1
            if mirror:
                self._sent(mirror, body)

    @contextmanager
    def asking(self, every: float = 0.01) -> Iterator[Counter[tuple[int, str]]]:
        """All the time."""
        over = threading.Event()

        def work() -> None:
            while not over.wait(every):
                self.ask()

        thread = threading.Thread(target=work, name="clients")
        thread.start()
        try:
            yield self.answers
        finally:
            over.set()
            thread.join()

    def _sent(self, predictor: str, body: bytes) -> int:
        service: dict[str, Any] = {"service": f"{self.model}-{predictor}"}
        return self.server.service("/api/v1.0/predictions", service, body)[0]
