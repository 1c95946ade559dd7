"""Clients of a model at the cluster's gateway."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sailplane.bundles.bundle import Bundle
from sailplane.bundles.columns import plain_records
from sailplane.serving.open_inference import messages as open_inference
from tests.integration.deployment.kubernetes.conftest import answering
from tests.kubernetes.servers import Servers
from tests.kubernetes_server import KubernetesServer
from tests.unit.bundles import tiny

RECORDS = plain_records(tiny.frame(64, seed=3), tiny.INPUTS)
# It scores its golden rows, but fails on each request of one row, or answers it late.
FAULTY = tiny.FEATURES.replace("    numbers =", "    if len(frame) == 1: 1 / 0\n    numbers =")
SLOW = tiny.FEATURES.replace("    numbers =", "    if len(frame) == 1: time.sleep(0.05)\n    numbers =")
SLOW = SLOW.replace("import numpy", "import time\nimport numpy", 1)


class Mesh:
    """Sends each request to a predictor by the current weights, and a copy to the mirror. `answers` counts clients'
    answers by status and predictor."""

    def __init__(self, server: KubernetesServer, model: str) -> None:
        self.server, self.model, self.chance = server, model, random.Random(5)
        self.answers: Counter[tuple[int, str]] = Counter()

    def ask(self, times: int = 1) -> None:
        for _ in range(times):
            routes, mirror = self.server.seldon.routes.get(self.model, {}), self.server.seldon.mirrors.get(self.model)
            [predictor] = self.chance.choices(list(routes), [*routes.values()])
            record = self.chance.choice(RECORDS)
            self.answers[self._sent(predictor, record), predictor] += 1
            if mirror:
                self._sent(mirror, record)

    @contextmanager
    def asking(self, every: float = 0.01) -> Iterator[Counter[tuple[int, str]]]:
        """Sends requests all the time."""
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

    def _sent(self, predictor: str, record: Mapping[str, Any]) -> int:
        service = {"service": f"{self.model}-{predictor}"}
        return self.server.service("/api/v1.0/predictions", service, json.dumps({"jsonData": record}).encode())[0]


class ModelMesh(Mesh):
    """The same for Core v2: a request goes to a Model on one of the Servers, where an agent counts it."""

    def __init__(self, server: KubernetesServer, model: str, bundles: Sequence[Bundle]) -> None:
        super().__init__(server, model)
        self.servers = Servers(server.objects)
        self.serve(bundles)
        server.service = self.answer

    def serve(self, bundles: Sequence[Bundle]) -> None:
        self._infer = answering([*bundles])
        self._inputs = open_inference.metadata(bundles[0].manifest, "")["inputs"]

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Answers requests that come through the API server, for counts or for a Model by name."""
        if path == "/metrics":
            return self.servers.metrics(headers["pod"])
        return self._called(headers["Seldon-Model"], headers["Seldon-Model"], body)

    def _sent(self, predictor: str, record: Mapping[str, Any]) -> int:
        inputs = [{**one, "shape": [1], "data": [record[one["name"]]]} for one in self._inputs]
        return self._called(f"{self.model}.experiment", predictor, json.dumps({"inputs": inputs}).encode())[0]

    def _called(self, asked: str, model: str, body: bytes) -> tuple[int, bytes]:
        try:
            status, said = self._infer(f"/v2/models/{model}/infer", {}, body)
        except ZeroDivisionError as error:
            status, said = 500, str(error).encode()
        agent = self.chance.choice([*self.servers.agents.values()])
        agent.called(asked, f"{model}_1", str(status))
        return status, said
