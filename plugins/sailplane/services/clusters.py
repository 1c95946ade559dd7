"""How a model that is served on a cluster is asked."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from sailplane import pairing
from sailplane.errors import ServiceError
from sailplane.home import Home
from sailplane.services.answer import ask
from sailplane.serving.kubernetes import workloads
from sailplane.serving.kubernetes.core_v1 import PATH
from sailplane.serving.kubernetes.golden import registered
from sailplane.serving.kubernetes.names import object_name, service_name
from sailplane.serving.kubernetes.recorded import OnCluster, latest
from sailplane.serving.kubernetes.workloads import CoreV1, CoreV2


def asked(home: Home, name: str, body: str | None) -> str:
    """The answer of a model on a cluster with a known gateway. Raises ServiceError, with the way to it, for another
    one, and for one that is served nowhere."""
    ledger = pairing.ledger(home)
    there = latest(ledger, name)
    if there is None:
        raise ServiceError("ask model", name, got="no version is served", remedy="`sailplane status` lists them.")
    deployment, workload = there.deployment, workloads.from_dict(there.place.workload)
    if not workload.ingress or not isinstance(workload, CoreV1):
        raise ServiceError("ask model", name, got=f"it is served at {there.place}", remedy=_way(there, workload))
    if body is None:
        with registered(ledger, pairing.store(home), name)(deployment.version) as bundle:
            body = json.dumps(bundle.example())
    return ask(deployment, body, remedy="See whether the cluster's gateway is there.")


def _way(there: OnCluster, workload: CoreV1 | CoreV2) -> str:
    name, namespace = there.deployment.name, there.place.namespace
    forward = f"`kubectl -n {namespace} port-forward"
    if isinstance(workload, CoreV2):
        path = urlsplit(there.deployment.endpoint).path
        header = f"the header `seldon-model: {object_name(name)}.experiment`"
        return f"{forward} service/{workload.mesh} 8000:80`, then POST to http://localhost:8000{path} with {header}."
    service = service_name(name, there.deployment.version)
    url = f"http://localhost:8000{PATH}"
    return f"{forward} service/{service} 8000`, then POST to {url}; or give CoreV1 the gateway's address as `ingress`."
