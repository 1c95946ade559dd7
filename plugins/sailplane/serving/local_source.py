"""What the model servers on this machine count, as a rollout reads it."""

from __future__ import annotations

from dataclasses import replace

from sailplane.errors import ServiceError
from sailplane.home import Home
from sailplane.serving.client import Reply, call
from sailplane.serving.exposition import REWARDED, observations, reward
from sailplane.serving.rollout.observations import Observations
from sailplane.serving.router import Router
from sailplane.serving.token import authorization


class LocalSource:
    """The `Source` of the model `name`: its servers' own metrics, so that what a shadow answers counts as well, and
    what another version answered in place of one."""

    def __init__(self, home: Home, name: str) -> None:
        self._home, self._router, self._name = home, Router(home), name

    def observed(self, version: str) -> Observations:
        ports = {of: port for (model, of), port in self._router.ports().items() if model == self._name}
        if version not in ports:
            return Observations()
        reply = self._metrics(ports[version])
        if reply.status != 200:
            got = reply.body.decode(errors="replace") if reply.status == 0 else reply.status
            raise ServiceError("read the metrics of", f"{self._name} {version}", got=got)
        seen = observations(reply.body.decode(), version)
        others = (self._metrics(port) for of, port in ports.items() if of != version)
        elsewhere = [reward(one.body.decode(), version) for one in others if one.status == 200]
        return replace(seen, feedback={REWARDED: sum(elsewhere, seen.feedback[REWARDED])})

    def _metrics(self, port: int) -> Reply:
        return call(port, "GET", "/metrics", headers=authorization(self._home))
