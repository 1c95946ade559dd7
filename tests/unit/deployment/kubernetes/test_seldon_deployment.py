from __future__ import annotations

from datetime import timedelta
from typing import Any

import jsonschema
import pytest

from sailplane.deployment.kubernetes import seldon_deployment as objects
from sailplane.deployment.kubernetes.names import deployment_name, object_name, service_name, version_of
from sailplane.deployment.kubernetes.workloads import CoreV1
from sailplane.deployment.target import TrafficSplit
from sailplane.errors import ConfigurationError, DeploymentError
from tests.unit.deployment.kubernetes.conftest import ONE, STARTED, THREE, TWO, check, model

PLAIN = CoreV1(image="registry.test/sailplane-seldon:0.1.0")
FULL = CoreV1(
    image="registry.test/sailplane-seldon@sha256:00",
    replicas=3,
    resources={"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"memory": "2Gi", "nvidia.com/gpu": "1"}},
    environment={"AWS_REGION": "eu-central-1"},
    secret="store-access",
    service_account="models",
)


def predictor(version: str = ONE, workload: CoreV1 = PLAIN) -> dict[str, Any]:
    return objects.predictor(model(version), workload, STARTED)


def served(*versions: str, weights: dict[str, int] | None = None, shadow: str | None = None) -> list[dict[str, Any]]:
    first, *others = versions
    predictors = objects.with_split([predictor(first)], TrafficSplit({first: 100}), "flights")
    for version in others:
        predictors = objects.with_version(predictors, predictor(version))
    return objects.with_split(predictors, TrafficSplit(weights or {first: 100}, shadow), "flights")


def traffic(predictors: list[dict[str, Any]]) -> dict[str, tuple[int, bool]]:
    return {one["name"][1:]: (one["traffic"], one["shadow"]) for one in predictors}


@pytest.mark.parametrize("workload", [PLAIN, FULL], ids=["plain", "full"])
def test_a_first_version_is_an_object_that_the_cluster_takes_and_has_no_traffic(workload: CoreV1) -> None:
    made = objects.seldon_deployment(model(), [predictor(workload=workload)])
    check(made)
    assert objects.split(made["spec"]["predictors"]) == TrafficSplit({})


def test_the_check_of_these_tests_refuses_a_misspelt_field_a_wrong_type_and_a_broken_rule() -> None:
    for change, told in (
        ({"trafic": 1}, "trafic"),
        ({"replicas": "two"}, "not of type"),
        ({"traffic": 50}, "100 for a"),
    ):
        with pytest.raises((AssertionError, jsonschema.ValidationError), match=told):
            check(objects.seldon_deployment(model(), [{**predictor(), **change}]))


def test_all_that_a_workload_says_is_in_the_pod() -> None:
    described = predictor(workload=FULL)
    pod = described["componentSpecs"][0]["spec"]
    (container,) = pod["containers"]
    assert described["replicas"] == 3
    assert pod["serviceAccountName"] == "models"
    assert container["image"] == FULL.image
    assert container["resources"] == FULL.resources
    assert container["envFrom"] == [{"secretRef": {"name": "store-access"}}]
    assert container["env"] == [{"name": "AWS_REGION", "value": "eu-central-1"}]
    assert described["graph"]["parameters"] == [{"name": "model_uri", "value": model().uri, "type": "STRING"}]


@pytest.mark.parametrize(
    ("weights", "shadow"),
    [
        ({ONE: 100}, None),
        ({ONE: 99, TWO: 1}, None),
        ({TWO: 100}, None),
        ({ONE: 100}, TWO),
        ({ONE: 50, TWO: 50}, THREE),
    ],
)
def test_every_split_that_a_rollout_makes_is_one_that_the_webhook_lets_through(
    weights: dict[str, int], shadow: str | None
) -> None:
    predictors = served(ONE, TWO, THREE, weights=weights, shadow=shadow)
    check(objects.seldon_deployment(model(), predictors))
    assert objects.split(predictors) == TrafficSplit(weights, shadow)


def test_a_shadow_gets_a_copy_of_everything_and_none_of_the_traffic() -> None:
    assert traffic(served(ONE, TWO, shadow=TWO)) == {ONE: (100, False), TWO: (100, True)}
    assert traffic(served(ONE, TWO, weights={TWO: 100})) == {ONE: (0, False), TWO: (100, False)}


@pytest.mark.parametrize("weights", [{ONE: 99}, {ONE: 60, TWO: 60}, {}])
def test_weights_that_are_not_100_in_all_are_refused(weights: dict[str, int]) -> None:
    with pytest.raises(DeploymentError, match="100 in all"):
        objects.with_split(served(ONE, TWO), TrafficSplit(weights), "flights")


def test_a_version_that_was_not_started_gets_no_traffic() -> None:
    for split in (TrafficSplit({THREE: 100}), TrafficSplit({ONE: 100}, THREE)):
        with pytest.raises(DeploymentError, match=f"no predictor v{THREE}"):
            objects.with_split(served(ONE, TWO), split, "flights")


def test_beginning_again_changes_nothing() -> None:
    before = served(ONE, TWO, weights={ONE: 90, TWO: 10})
    later = objects.predictor(model(TWO), PLAIN, STARTED + timedelta(hours=1))
    assert objects.with_version(before, later) == before
    alone = [predictor(ONE)]
    assert objects.with_version(alone, objects.predictor(model(ONE), PLAIN, STARTED + timedelta(hours=1))) == alone


def test_a_version_without_traffic_is_replaced_if_it_differs() -> None:
    """Somebody repaired the image, and the last try was killed before it could clean up."""
    mended = predictor(TWO, FULL)
    assert objects.with_version(served(ONE, TWO), mended)[1] == mended
    busy = served(ONE, TWO, weights={ONE: 90, TWO: 10})
    assert objects.with_version(busy, mended) == busy


def test_what_is_left_over_gives_way_where_nothing_has_traffic() -> None:
    """A single predictor may have no traffic; two would be refused."""
    assert objects.with_version([predictor(ONE)], predictor(TWO)) == [predictor(TWO)]


def test_a_version_with_traffic_is_not_stopped() -> None:
    with pytest.raises(DeploymentError, match="100 percent of the traffic"):
        objects.without_version(served(ONE, TWO), ONE, "flights")
    assert traffic(objects.without_version(served(ONE, TWO), TWO, "flights")) == {ONE: (100, False)}
    assert traffic(objects.without_version(served(ONE, TWO, shadow=TWO), TWO, "flights")) == {ONE: (100, False)}


@pytest.mark.parametrize("name", ["flights", "a_b", "7up", "x" * 47, "9" * 47, "ends_"])
def test_every_name_of_a_model_makes_names_that_a_service_may_have(name: str) -> None:
    made = [object_name(name), service_name(name, ONE), deployment_name(name, ONE)]
    assert all(len(one) <= 63 and one[0].isalpha() and one[-1].isalnum() for one in made)
    assert all(set(one) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for one in made)


def test_a_long_name_is_shortened_as_the_operator_shortens_it() -> None:
    assert deployment_name("flights", ONE) == f"flights-v{ONE}-0-model"
    assert deployment_name("x" * 47, ONE) == "seldon-c313b7648f2441d9a33e78c52ac77e6c"


def test_a_predictor_of_somebody_else_is_no_version() -> None:
    assert version_of(f"v{ONE}") == ONE
    assert version_of("default") is None


def found(state: str, status: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    made = objects.seldon_deployment(model(), served(ONE, TWO))
    key = deployment_name("flights", TWO)
    listed = {key: status} if status is not None else {}
    return {**made, "status": {"state": state, "deploymentStatus": listed, **more}}


@pytest.mark.parametrize(
    ("state", "status", "seen"),
    [
        ("Available", None, "starting"),
        ("Available", {}, "starting"),
        ("Available", {"replicas": 1}, "starting"),
        ("Creating", {"replicas": 1, "availableReplicas": 1}, "starting"),
        ("Failed", None, "starting"),
        ("Failed", {"replicas": 1}, "failed"),
        ("Failed", {"replicas": 1, "availableReplicas": 1}, "starting"),
        ("Available", {"replicas": 1, "availableReplicas": 1}, "ready"),
    ],
)
def test_available_is_believed_only_of_a_new_predictor_with_all_its_pods(
    state: str, status: dict[str, Any] | None, seen: str
) -> None:
    assert objects.availability(found(state, status), "flights", TWO).state == seen


def test_a_version_that_the_cluster_does_not_know_yet_is_starting() -> None:
    made = objects.seldon_deployment(model(), served(ONE, TWO))
    assert objects.availability(made, "flights", TWO).state == "starting"


def test_what_the_operator_says_of_a_failure_is_the_reason() -> None:
    seen = objects.availability(found("Failed", {"replicas": 1}, description="quota exceeded"), "flights", TWO)
    assert seen.reason == "quota exceeded"


@pytest.mark.parametrize(
    ("how", "told"),
    [({"replicas": 0}, "at least 1"), ({"deadline": timedelta(0)}, "a positive time"), ({"image": ""}, "image")],
)
def test_a_workload_that_cannot_be_is_refused_when_the_dag_is_read(how: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        CoreV1(**{"image": "x", **how})


def test_the_choice_for_violations_is_a_parameter_and_its_default_is_none() -> None:
    """A version that already serves stays as it was before this choice existed."""
    flagged = predictor(workload=CoreV1(image="x", on_violation="flag"))
    check(objects.seldon_deployment(model(), [flagged]))
    assert flagged["graph"]["parameters"][1] == {"name": "on_violation", "value": "flag", "type": "STRING"}
    assert [one["name"] for one in predictor()["graph"]["parameters"]] == ["model_uri"]
