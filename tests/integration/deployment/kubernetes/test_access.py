from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from sailplane.deployment.kubernetes.cluster import EXPERIMENT, MODEL, SELDON_DEPLOYMENT
from sailplane.deployment.kubernetes.core_v1 import CoreV1Target
from sailplane.deployment.kubernetes.core_v1_source import CoreV1Source
from sailplane.deployment.kubernetes.core_v2 import CoreV2Target
from sailplane.deployment.kubernetes.core_v2_source import CoreV2Source
from sailplane.deployment.kubernetes.workloads import CoreV2
from sailplane.deployment.target import TrafficSplit
from sailplane.records import Model
from tests.integration.deployment.kubernetes.conftest import NAME
from tests.integration.deployment.kubernetes.rollouts import rollout
from tests.kubernetes_server import KubernetesServer

ACCESS = Path(__file__).parents[4] / "docker" / "kubernetes" / "access.yaml"
VERBS = {"POST": "create", "PATCH": "patch", "DELETE": "delete"}


def needed(asked: str) -> tuple[str, str, str]:
    """Returns group, resource and verb, as in a role."""
    method, path = asked.split()
    if "/proxy/" in path:
        return "", "pods/proxy" if "/pods/" in path else "services/proxy", VERBS.get(method, "get")
    group, resource, name = re.findall(r"/(?:api|apis/([^/]+))/[^/]+/namespaces/[^/]+/([a-z]+)(?:/(.+))?$", path)[0]
    return group, resource, VERBS.get(method, "get" if name else "list")


def test_the_role_allows_what_a_rollout_does_and_nothing_else(
    server: KubernetesServer, target: CoreV1Target, target_v2: CoreV2Target, models: list[Model], opened: Any
) -> None:
    one, two, three = models
    for place in (target, target_v2):
        assert rollout(place, one, lambda: server.seldon.look(3)) == "served"
        server.seldon.behaviour = {f"v{two.version}": "crashing", f"flights-v{two.version}": "crashing"}
        place.begin(two)
        server.seldon.look(3)
        assert place.progress(two.version).state != "ready"
        place.stop(two.version)
        assert rollout(place, three, lambda: server.seldon.look(3)) == "served"
        (CoreV1Source if place is target else CoreV2Source)(place.cluster, NAME).observed(three.version)
        place.move(TrafficSplit({}))
        place.stop(three.version)
    target_v2.begin(one)
    CoreV2Target(target_v2.cluster, NAME, CoreV2(memory="1Gi"), opened).begin(one)
    for kind in (SELDON_DEPLOYMENT, MODEL, EXPERIMENT):
        target.cluster.list(kind, "")  # The test of a connection.
    (role,) = [one for one in yaml.safe_load_all(ACCESS.read_text()) if one["kind"] == "Role"]
    allowed = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert {needed(asked) for asked in server.asked} - allowed == set()
    assert allowed - {needed(asked) for asked in server.asked} == set()
