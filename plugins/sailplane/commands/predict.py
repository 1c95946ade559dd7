"""`sailplane predict MODEL [--json BODY]`: requests a prediction from a served model."""

from __future__ import annotations

import argparse
import json
import sys
from urllib.parse import urlsplit

from sailplane import pairing
from sailplane.deployment.kubernetes import workloads
from sailplane.deployment.kubernetes.core_v1 import PATH
from sailplane.deployment.kubernetes.golden import registered
from sailplane.deployment.kubernetes.names import object_name, service_name
from sailplane.deployment.kubernetes.recorded import OnCluster, latest
from sailplane.deployment.kubernetes.workloads import CoreV1, CoreV2
from sailplane.deployment.token import authorization
from sailplane.errors import ServiceError
from sailplane.home import Home
from sailplane.services.served import ask, example, served


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model")
    parser.add_argument("--json", metavar="BODY", help="the request; by default an example from the model's bundle")
    parser.set_defaults(command=lambda home, arguments: predict(home, arguments.model, arguments.json))


def predict(home: Home, model: str, body: str | None) -> int:
    """Prints the response. Raises ServiceError if the model is not served, RequestError if it refuses the request."""
    deployment = served(home, model)
    if deployment is None:
        answer = _ask_cluster(home, model, body)
    else:
        answer = ask(deployment, body or example(home, deployment), authorization(home))
    sys.stdout.write(answer + "\n")
    return 0


def _ask_cluster(home: Home, name: str, body: str | None) -> str:
    """The response of a model behind a cluster's gateway. Raises ServiceError for a model that is not served, and, with
    the way to reach it, for a model behind another kind of gateway."""
    ledger = pairing.ledger(home)
    there = latest(ledger, name)
    if there is None:
        raise ServiceError(
            "ask model", name, got="no version is served", remedy="`sailplane status` lists the served models."
        )
    deployment, workload = there.deployment, workloads.from_dict(there.location.workload)
    if not workload.ingress or not isinstance(workload, CoreV1):
        raise ServiceError("ask model", name, got=f"it is served at {there.location}", remedy=_way(there, workload))
    if body is None:
        with registered(ledger, pairing.store(home), name)(deployment.version) as bundle:
            body = json.dumps(bundle.example())
    return ask(deployment, body, remedy="Check that the cluster's gateway is running.")


def _way(there: OnCluster, workload: CoreV1 | CoreV2) -> str:
    name, namespace = there.deployment.name, there.location.namespace
    forward = f"`kubectl -n {namespace} port-forward"
    if isinstance(workload, CoreV2):
        path = urlsplit(there.deployment.endpoint).path
        header = f"the header `seldon-model: {object_name(name)}.experiment`"
        return f"{forward} service/{workload.mesh} 8000:80`, then POST to http://localhost:8000{path} with {header}."
    service = service_name(name, there.deployment.version)
    url = f"http://localhost:8000{PATH}"
    return f"{forward} service/{service} 8000`, then POST to {url}; or give CoreV1 the gateway's address as `ingress`."
