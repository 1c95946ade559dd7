"""The small API server, on which the other tests rely: the real client checks that it behaves like a real one."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import urllib3
from kubernetes.client import ApiClient, AppsV1Api, CoreV1Api, CustomObjectsApi, V1DeleteOptions
from kubernetes.client.exceptions import ApiException
from kubernetes.config import new_client_from_config_dict
from kubernetes.watch import Watch

from tests.integration.deployment.kubernetes.iris import MERGE, WHERE, Object, iris, several
from tests.kubernetes.refusals import Refused
from tests.kubernetes.seldon import SELDON_DEPLOYMENTS
from tests.kubernetes_server import NAMESPACE, Fault, KubernetesServer


def refused(call: Any, status: int) -> str:
    with pytest.raises(ApiException) as raised:
        call()
    assert raised.value.status == status
    return str(raised.value.body)


def test_an_object_is_created_read_listed_and_deleted(custom: CustomObjectsApi) -> None:
    made = custom.create_namespaced_custom_object(*WHERE, iris())
    assert made["metadata"]["generation"] == 1
    assert custom.get_namespaced_custom_object(*WHERE, "iris") == made
    assert custom.list_namespaced_custom_object(*WHERE)["items"] == [made]
    assert "AlreadyExists" in refused(lambda: custom.create_namespaced_custom_object(*WHERE, iris()), 409)
    custom.delete_namespaced_custom_object(*WHERE, "iris")
    assert "not found" in refused(lambda: custom.get_namespaced_custom_object(*WHERE, "iris"), 404)


def test_a_change_of_the_spec_is_a_generation_and_every_change_a_version(custom: CustomObjectsApi) -> None:
    made = custom.create_namespaced_custom_object(*WHERE, iris())
    labelled = custom.patch_namespaced_custom_object(*WHERE, "iris", {"metadata": {"labels": {"a": "b"}}}, **MERGE)
    scaled = custom.patch_namespaced_custom_object(*WHERE, "iris", {"spec": {"replicas": 2}}, **MERGE)
    same = custom.patch_namespaced_custom_object(*WHERE, "iris", {"spec": {"replicas": 2}}, **MERGE)
    assert [one["metadata"]["generation"] for one in (made, labelled, scaled, same)] == [1, 1, 2, 2]
    versions = [one["metadata"]["resourceVersion"] for one in (made, labelled, scaled, same)]
    assert len(set(versions)) == 3
    assert versions[2] == versions[3]
    assert len({one["metadata"]["uid"] for one in (made, labelled, scaled)}) == 1


def test_who_read_before_somebody_else_wrote_is_told_of_the_conflict(custom: CustomObjectsApi) -> None:
    old = custom.create_namespaced_custom_object(*WHERE, iris())
    custom.patch_namespaced_custom_object(*WHERE, "iris", {"spec": {"replicas": 2}}, **MERGE)
    assert "Conflict" in refused(lambda: custom.replace_namespaced_custom_object(*WHERE, "iris", old), 409)
    stale = {"metadata": {"resourceVersion": old["metadata"]["resourceVersion"]}, "spec": {"replicas": 3}}
    refused(lambda: custom.patch_namespaced_custom_object(*WHERE, "iris", stale, **MERGE), 409)
    options = V1DeleteOptions(preconditions={"resourceVersion": old["metadata"]["resourceVersion"]})
    refused(lambda: custom.delete_namespaced_custom_object(*WHERE, "iris", body=options), 409)
    blind = {**old, "metadata": {"name": "iris"}}
    assert "must be specified" in refused(lambda: custom.replace_namespaced_custom_object(*WHERE, "iris", blind), 422)


def test_an_unknown_field_is_refused_if_that_is_asked_for_and_dropped_if_not(custom: CustomObjectsApi) -> None:
    wrong = iris(trafic=100)
    said = refused(lambda: custom.create_namespaced_custom_object(*WHERE, wrong, field_validation="Strict"), 400)
    assert 'unknown field \\"spec.predictors[0].trafic\\"' in said
    made = custom.create_namespaced_custom_object(*WHERE, wrong)
    assert "trafic" not in made["spec"]["predictors"][0]
    deep = {"spec": {"predictors": [iris()["spec"]["predictors"][0] | {"svcOrchSpec": {"replica": 1}}]}}
    patch = lambda: custom.patch_namespaced_custom_object(*WHERE, "iris", deep, field_validation="Strict", **MERGE)  # noqa: E731
    assert "svcOrchSpec.replica" in refused(patch, 400)


@pytest.mark.parametrize(
    ("predictor", "told"),
    [
        ({"replicas": "two"}, "must be of type integer"),
        ({"traffic": 1.5}, "must be of type integer"),
        ({"graph": {"type": "MODEL"}}, "graph.name: Required value"),
        ({"labels": {"a": 1}}, "must be of type string"),
    ],
)
def test_a_wrong_type_and_a_missing_field_are_refused(custom: CustomObjectsApi, predictor: Object, told: str) -> None:
    assert told in refused(lambda: custom.create_namespaced_custom_object(*WHERE, iris(**predictor)), 422)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (several({"traffic": 50}, {"traffic": 40}), "Traffic must sum to 100"),
        (several({"traffic": 40}), "Traffic must sum be 100 for a single predictor"),
        (several({"shadow": True}), "Shadow can not exist as only predictor"),
        (several({"traffic": 100}, {"shadow": True}, {"shadow": True}), "Multiple shadows"),
        (several({"traffic": 50, "name": "x"}, {"traffic": 50, "name": "x"}), "Duplicate predictor name"),
        (several({"graph": {"name": "nobody"}}), "Can't find container for Predictive Unit"),
        (several({"graph": {"name": "m", "implementation": "SKLEARN_SERVER"}}), "modelUri required"),
        ({**iris(), "spec": {"predictors": []}}, "Graph contains no predictors"),
        ({**iris(), "spec": {**iris()["spec"], "protocol": "http"}}, "Invalid protocol"),
    ],
)
def test_what_only_the_webhook_knows_is_refused(custom: CustomObjectsApi, value: Object, told: str) -> None:
    said = refused(lambda: custom.create_namespaced_custom_object(*WHERE, value), 422)
    assert told in said
    assert "admission webhook" in said


def test_a_list_patches_operation_by_operation_and_a_test_may_fail(custom: CustomObjectsApi) -> None:
    custom.create_namespaced_custom_object(*WHERE, iris())
    place, how = "/spec/predictors/0/replicas", {"_content_type": "application/json-patch+json"}
    added = custom.patch_namespaced_custom_object(*WHERE, "iris", [{"op": "add", "path": place, "value": 3}], **how)
    assert added["spec"]["predictors"][0]["replicas"] == 3
    guarded = [{"op": "test", "path": place, "value": 4}, {"op": "remove", "path": place}]
    refused(lambda: custom.patch_namespaced_custom_object(*WHERE, "iris", guarded, **how), 422)
    refused(lambda: custom.patch_namespaced_custom_object(*WHERE, "iris", guarded, **MERGE), 400)


def test_server_side_apply_keeps_what_others_own_and_tells_of_conflicts(custom: CustomObjectsApi) -> None:
    how = {"_content_type": "application/apply-patch+yaml"}
    mine = {**iris(), "metadata": {"name": "iris", "labels": {"a": "1"}}}
    custom.patch_namespaced_custom_object(*WHERE, "iris", mine, field_manager="one", **how)
    theirs = {**mine, "metadata": {"name": "iris", "labels": {"b": "2"}}, "spec": {"replicas": 2}}
    both = custom.patch_namespaced_custom_object(*WHERE, "iris", theirs, field_manager="two", **how)
    assert both["metadata"]["labels"] == {"a": "1", "b": "2"}
    assert both["spec"]["replicas"] == 2
    without = {**theirs, "metadata": {"name": "iris"}}
    left = custom.patch_namespaced_custom_object(*WHERE, "iris", without, field_manager="two", **how)
    assert left["metadata"]["labels"] == {"a": "1"}
    other = {**mine, "spec": {**mine["spec"], "replicas": 5}}
    said = refused(
        lambda: custom.patch_namespaced_custom_object(*WHERE, "iris", other, field_manager="one", **how), 409
    )
    assert 'conflict with \\"two\\": .spec.replicas' in said
    forced = custom.patch_namespaced_custom_object(*WHERE, "iris", other, field_manager="one", force=True, **how)
    assert forced["spec"]["replicas"] == 5


def test_the_status_is_apart_from_the_rest(custom: CustomObjectsApi) -> None:
    made = custom.create_namespaced_custom_object(*WHERE, {**iris(), "status": {"state": "Available"}})
    assert "status" not in made
    told = {"status": {"state": "Creating"}, "spec": {"replicas": 9}}
    said = custom.patch_namespaced_custom_object_status(*WHERE, "iris", told, **MERGE)
    assert said["status"] == {"state": "Creating"}
    assert "replicas" not in said["spec"]
    assert said["metadata"]["generation"] == 1
    changed = custom.patch_namespaced_custom_object(*WHERE, "iris", {"status": {"state": "Failed"}}, **MERGE)
    assert changed["status"] == {"state": "Creating"}


def test_labels_select(custom: CustomObjectsApi) -> None:
    for name in ("iris", "wine", "moon"):
        custom.create_namespaced_custom_object(*WHERE, iris(name))

    def selected(selector: str) -> list[str]:
        found = custom.list_namespaced_custom_object(*WHERE, label_selector=selector)["items"]
        return [one["metadata"]["name"] for one in found]

    assert selected("team=iris") == ["iris"]
    assert selected("team!=iris,team") == ["wine", "moon"]
    assert selected("team in (iris, moon)") == ["iris", "moon"]
    assert selected("team notin (iris),!other") == ["wine", "moon"]
    assert selected("other") == []


def test_a_watch_tells_what_happens(custom: CustomObjectsApi) -> None:
    first = custom.create_namespaced_custom_object(*WHERE, iris())
    after = custom.list_namespaced_custom_object(*WHERE)["metadata"]["resourceVersion"]

    def work() -> None:
        custom.patch_namespaced_custom_object(*WHERE, "iris", {"spec": {"replicas": 2}}, **MERGE)
        custom.create_namespaced_custom_object(*WHERE, iris("wine"))
        custom.delete_namespaced_custom_object(*WHERE, "iris")

    working = threading.Thread(target=work)
    working.start()
    seen, watch = [], Watch()
    for event in watch.stream(custom.list_namespaced_custom_object, *WHERE, resource_version=after, timeout_seconds=20):
        seen.append((event["type"], event["object"]["metadata"]["name"]))
        if len(seen) == 3:
            watch.stop()
    working.join()
    assert seen == [("MODIFIED", "iris"), ("ADDED", "wine"), ("DELETED", "iris")]
    assert first["metadata"]["name"] == "iris"


def test_an_object_with_a_finalizer_goes_when_that_is_taken_away(custom: CustomObjectsApi) -> None:
    value = iris()
    value["metadata"]["finalizers"] = ["tests/cleanup"]
    custom.create_namespaced_custom_object(*WHERE, value)
    custom.delete_namespaced_custom_object(*WHERE, "iris")
    going = custom.get_namespaced_custom_object(*WHERE, "iris")
    assert going["metadata"]["deletionTimestamp"]
    custom.patch_namespaced_custom_object(*WHERE, "iris", {"metadata": {"finalizers": None}}, **MERGE)
    refused(lambda: custom.get_namespaced_custom_object(*WHERE, "iris"), 404)


def test_kubernetes_own_kinds_merge_lists_by_their_keys(client: ApiClient) -> None:
    apps = AppsV1Api(client)
    pod = {"containers": [{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}]}
    spec = {"selector": {"matchLabels": {"app": "x"}}, "template": {"metadata": {"labels": {"app": "x"}}, "spec": pod}}
    apps.create_namespaced_deployment(NAMESPACE, {"metadata": {"name": "x"}, "spec": spec})
    newer = {"spec": {"template": {"spec": {"containers": [{"name": "b", "image": "b:2"}]}}}}
    patched = apps.patch_namespaced_deployment(
        "x", NAMESPACE, newer, _content_type="application/strategic-merge-patch+json"
    )
    assert [each.image for each in patched.spec.template.spec.containers] == ["a:1", "b:2"]
    core = CoreV1Api(client)
    core.create_namespaced_secret(NAMESPACE, {"metadata": {"name": "s"}, "stringData": {"a": "b"}})
    assert [one.metadata.name for one in core.list_namespaced_secret(NAMESPACE).items] == ["s"]


def test_nobody_gets_in_without_the_token(server: KubernetesServer) -> None:
    with new_client_from_config_dict(server.config("another-token")) as client:
        refused(lambda: CustomObjectsApi(client).list_namespaced_custom_object(*WHERE), 401)


def test_a_path_that_is_none_is_refused_without_details(custom: CustomObjectsApi) -> None:
    said = refused(lambda: custom.list_namespaced_custom_object("example.com", "v1", NAMESPACE, "things"), 404)
    assert "details" not in said


def test_a_fault_strikes_as_often_as_it_is_told_to(server: KubernetesServer, custom: CustomObjectsApi) -> None:
    def away() -> None:
        raise Refused(503, "etcd is away")

    server.faults = [Fault(lambda method, _path: method == "POST", times=1, before=away)]
    custom.list_namespaced_custom_object(*WHERE)
    assert "etcd is away" in refused(lambda: custom.create_namespaced_custom_object(*WHERE, iris()), 503)
    server.faults = [Fault(lambda method, _path: method == "POST", times=1, silent=True)]
    with pytest.raises(urllib3.exceptions.HTTPError):
        custom.create_namespaced_custom_object(*WHERE, iris())
    assert len(server.objects.list(SELDON_DEPLOYMENTS)) == 1
