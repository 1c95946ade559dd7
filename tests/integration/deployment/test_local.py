"""Deployments on this machine: a version takes over without a failed request."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pytest

from sailplane.bundles.columns import plain_records
from sailplane.deployment.envoy.router import Router
from sailplane.deployment.local.endpoint import deployments
from sailplane.deployment.rollout.rollback import roll_back
from sailplane.deployment.rollout.run import ModelEndpoint
from sailplane.errors import HeldError
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Approval, Deployment, Model
from sailplane.registry import holds
from sailplane.registry.models import alias, fetch
from sailplane.storage import Storage
from sailplane.supervisor import Supervisor
from tests.background_load import asked_all_the_time
from tests.integration.deployment.routed import RECORD, deploy, files_of, pid_of, served_version
from tests.unit.bundles import tiny

Registered = Callable[..., Model]


def test_a_deployed_model_scores_over_http_as_its_bundle_does(
    platform: Home, ledger: Ledger, storage: Storage, registered: Registered, tmp_path: Path
) -> None:
    model = registered("run-1")
    deployment = deploy(platform, ledger, storage, model)
    bundle = fetch(storage, model, tmp_path / "copy")
    rows = tiny.frame(300, seed=11)
    records = plain_records(rows, tiny.INPUTS)
    expected = bundle.predict(rows)
    with httpx.Client() as client:
        body = {"data": {"names": list(records[0]), "ndarray": [list(record.values()) for record in records]}}
        answer = client.post(deployment.endpoint, json=body)
        np.testing.assert_array_equal(np.float32(answer.json()["data"]["ndarray"]), expected)
        one_by_one = [client.post(deployment.endpoint, json={"jsonData": record}).json() for record in records[:50]]
        scores = [answer["data"]["ndarray"][0] for answer in one_by_one]
        np.testing.assert_allclose(scores, expected[:50], atol=1e-6)
    assert answer.headers["x-sailplane-version"] == model.version
    assert deployments(ledger) == [deployment]
    assert deployment.weights == {model.version: 100}
    assert alias(ledger, "flights", "champion") == model


def test_deploying_what_is_served_changes_nothing(
    platform: Home, supervisor: Supervisor, ledger: Ledger, storage: Storage, registered: Registered
) -> None:
    model = registered("run-1")
    first = deploy(platform, ledger, storage, model)
    before, files = pid_of(supervisor, model), files_of(platform)
    assert deploy(platform, ledger, storage, model) == first
    assert pid_of(supervisor, model) == before
    assert files_of(platform) == files


def test_no_request_fails_while_versions_change(
    platform: Home, supervisor: Supervisor, ledger: Ledger, storage: Storage, registered: Registered
) -> None:
    models = [registered(f"run-{n}", bias=n / 10) for n in range(3)]
    endpoint, replies = deploy(platform, ledger, storage, models[0]).endpoint, list[httpx.Response]()
    with asked_all_the_time(lambda client: replies.append(client.post(endpoint, json=RECORD)), clients=2):
        for model in models[1:]:
            deploy(platform, ledger, storage, model)
    assert [reply.text for reply in replies if reply.status_code != 200] == []
    versions = [reply.headers["x-sailplane-version"] for reply in replies]
    assert versions[0] == models[0].version
    assert versions[-1] in {models[1].version, models[2].version}
    assert served_version(platform) == models[2].version
    assert set(supervisor.states()) == {"router", f"model-flights-{models[2].version}"}
    assert list(Router(platform).ports()) == [("flights", models[2].version)]
    assert [path.name for path in (platform.serving / "models" / "flights").iterdir()] == [models[2].version]


def test_an_approval_lifts_the_hold_with_the_deployment(
    platform: Home, ledger: Ledger, storage: Storage, registered: Registered
) -> None:
    first, second = registered("run-1"), registered("run-2", bias=0.2)
    for version in (first, second):
        deploy(platform, ledger, storage, version)
    roll_back(ModelEndpoint.local(platform, ledger, storage, "flights"), "ada")
    third = registered("run-3", bias=0.3)
    with pytest.raises(HeldError, match="`sailplane release flights`"):
        deploy(platform, ledger, storage, third)
    approval = Approval(approved=True, by="ada", note="", at=datetime.now(UTC))
    deploy(platform, ledger, storage, third, approval)
    assert served_version(platform) == third.version
    assert holds.find(ledger, "flights") is None


def test_two_models_are_served_side_by_side(
    platform: Home, ledger: Ledger, storage: Storage, registered: Registered
) -> None:
    deploy(platform, ledger, storage, registered("run-1"))
    deploy(platform, ledger, storage, registered("run-2", model="flights-eu", outputs=("a", "b")))
    deploy(platform, ledger, storage, registered("run-3", bias=0.3))
    assert [deployment.name for deployment in deployments(ledger)] == ["flights", "flights-eu"]
    for deployment in deployments(ledger):
        reply = httpx.post(deployment.endpoint, json=RECORD)
        assert reply.headers["x-sailplane-version"] == deployment.version


def test_a_deployment_survives_json() -> None:
    deployment = Deployment(name="a", version="b", weights={"b": 100}, endpoint="http://c")
    assert Deployment.from_dict(json.loads(json.dumps(deployment.to_dict()))) == deployment
