"""The counts of the model servers on this machine, for rollouts."""

from __future__ import annotations

from dataclasses import replace

from sailplane.deployment.envoy.router import Router
from sailplane.deployment.http_client import Reply, call
from sailplane.deployment.prometheus import REWARDED, observations, reward
from sailplane.deployment.token import authorization
from sailplane.errors import ServiceError
from sailplane.home import Home
from sailplane.serving.observations import FeedbackTotals, Observations


class LocalSource:
    """The `Source` of the model `name`: the metrics of its servers. They also count a shadow's answers, and those for
    another version that was down."""

    def __init__(self, home: Home, name: str) -> None:
        self._home, self._router, self._name = home, Router(home), name
        self._elsewhere: dict[tuple[int, str], FeedbackTotals] = {}

    def observed(self, version: str) -> Observations:
        ports = {of: port for (model, of), port in self._router.ports().items() if model == self._name}
        if version not in ports:
            return Observations()
        reply = self._metrics(ports[version])
        if reply.status != 200:
            got = reply.body.decode(errors="replace") if reply.status == 0 else reply.status
            raise ServiceError("read the metrics of", f"{self._name} {version}", got=got)
        seen = observations(reply.body.decode(), version)
        elsewhere = [self._fed_back(port, version) for of, port in ports.items() if of != version]
        return replace(seen, feedback={REWARDED: sum(elsewhere, seen.feedback[REWARDED])})

    def _fed_back(self, port: int, version: str) -> FeedbackTotals:
        """The feedback on the version that another version's server received. If that server does not answer, its last
        values count; otherwise they would look new once it answers again."""
        reply = self._metrics(port)
        if reply.status == 200:
            self._elsewhere[port, version] = reward(reply.body.decode(), version)
        return self._elsewhere.get((port, version), FeedbackTotals())

    def _metrics(self, port: int) -> Reply:
        return call(port, "GET", "/metrics", headers=authorization(self._home))
