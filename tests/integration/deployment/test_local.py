from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pytest
from sqlalchemy.exc import IntegrityError

from sailplane.bundles.columns import plain_records
from sailplane.deployment.envoy.router import Router
from sailplane.deployment.http_client import wait_until
from sailplane.deployment.local.endpoint import deployments
from sailplane.deployment.local.model_process import ModelProcess
from sailplane.deployment.local.target import LocalTarget
from sailplane.deployment.rollout import repository
from sailplane.deployment.rollout.plan import Rollout
from sailplane.deployment.rollout.rollback import roll_back
from sailplane.deployment.rollout.run import ModelEndpoint
from sailplane.errors import DeploymentError, HeldError
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Approval, Deployment, Model
from sailplane.registry import holds
from sailplane.registry.models import alias, fetch
from sailplane.storage import Storage
from sailplane.supervisor import Supervisor
from tests.background_load import asked_all_the_time
from tests.integration.deployment.routed import RECORD, deploy, pid_of, served_version
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
    before, files = pid_of(supervisor, model), _files(platform)
    assert deploy(platform, ledger, storage, model) == first
    assert pid_of(supervisor, model) == before
    assert _files(platform) == files


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


FAILS_IN_THE_SERVER = tiny.FEATURES.replace(
    "import numpy as np",
    'import sys\nimport numpy as np\nif "sailplane.serving.server" in sys.orig_argv: raise ValueError("no luck")',
)
OTHER_SCORES_IN_THE_SERVER = tiny.FEATURES.replace(
    '/ state["distance"]', '/ state["distance"] * (1 + ("sailplane.serving.server" in sys.orig_argv))'
).replace("import numpy as np", "import sys\nimport numpy as np")


@pytest.mark.parametrize(
    ("features", "reason"), [(FAILS_IN_THE_SERVER, "no luck"), (OTHER_SCORES_IN_THE_SERVER, "off by up to")]
)
def test_a_broken_bundle_gets_no_traffic_and_leaves_nothing(
    platform: Home,
    supervisor: Supervisor,
    ledger: Ledger,
    storage: Storage,
    registered: Registered,
    features: str,
    reason: str,
) -> None:
    good, broken = registered("run-1"), registered("run-2", features=features)
    deploy(platform, ledger, storage, good)
    before, pid = _files(platform), pid_of(supervisor, good)
    with pytest.raises(DeploymentError, match=reason):
        deploy(platform, ledger, storage, broken)
    assert served_version(platform) == good.version
    assert pid_of(supervisor, good) == pid
    assert set(supervisor.states()) == {"router", f"model-flights-{good.version}"}
    assert _files(platform) == before
    assert alias(ledger, "flights", "champion") == good
    better = registered("run-3", bias=0.3)
    assert deploy(platform, ledger, storage, better).version == better.version


def test_a_ledger_that_fails_gives_the_traffic_back(
    platform: Home, supervisor: Supervisor, ledger: Ledger, storage: Storage, registered: Registered
) -> None:
    old, new = registered("run-1"), registered("run-2", bias=0.2)
    deploy(platform, ledger, storage, old)
    _on_ledger(platform, "CREATE TRIGGER full BEFORE INSERT ON deployments BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    with pytest.raises(IntegrityError, match="disk full") as failed:
        deploy(platform, ledger, storage, new)
    assert "The next deployment of flights ends it." in failed.value.__notes__[0]
    assert served_version(platform) == old.version
    assert f"model-flights-{old.version}" in supervisor.states()
    assert alias(ledger, "flights", "champion") == old
    _on_ledger(platform, "DROP TRIGGER full")
    deploy(platform, ledger, storage, new)
    assert served_version(platform) == new.version
    assert set(supervisor.states()) == {"router", f"model-flights-{new.version}"}
    assert alias(ledger, "flights", "champion") == new


def test_a_rollout_whose_server_is_gone_is_rolled_back(
    platform: Home, ledger: Ledger, storage: Storage, registered: Registered
) -> None:
    """A restored ledger names rollouts that have ended since."""
    old, new = registered("run-1"), registered("run-2", bias=0.2)
    deploy(platform, ledger, storage, old)
    endpoint = ModelEndpoint.local(platform, ledger, storage, "flights")
    endpoint.begin(Rollout(steps=(10, 100)), new, "ada")
    LocalTarget(platform, storage, "flights").stop(new.version)
    state = endpoint.finish(new.version)
    assert state.phase == "failed"
    assert "its server is not on this machine any more" in state.reason
    assert served_version(platform) == old.version


@pytest.mark.parametrize("killed", [False, True], ids=["a rollback to its end", "a rollback that was killed"])
def test_a_rollback_while_a_version_starts_keeps_it_from_taking_over(
    platform: Home,
    supervisor: Supervisor,
    ledger: Ledger,
    storage: Storage,
    registered: Registered,
    monkeypatch: pytest.MonkeyPatch,
    killed: bool,
) -> None:
    first, second = registered("run-1"), registered("run-2", bias=0.2)
    deploy(platform, ledger, storage, first)
    begin = LocalTarget.begin

    def meanwhile(target: LocalTarget, model: Model) -> None:
        begin(target, model)
        if killed:
            repository.roll_back(ledger, "flights", "ada", hold=True)
        else:
            roll_back(ModelEndpoint.local(platform, ledger, storage, "flights"), "ada")

    monkeypatch.setattr(LocalTarget, "begin", meanwhile)
    with pytest.raises(HeldError, match=f"when ada rolled back {second.version} to {first.version}"):
        deploy(platform, ledger, storage, second)
    assert served_version(platform) == first.version
    assert alias(ledger, "flights", "champion") == first
    assert set(supervisor.states()) == {"router", f"model-flights-{first.version}"}


def test_a_version_that_nobody_knows_of_is_stopped_with_the_next_deployment(
    platform: Home, supervisor: Supervisor, ledger: Ledger, storage: Storage, registered: Registered
) -> None:
    """As an older ledger leaves it, which was restored while a version started."""
    left, new = registered("run-1"), registered("run-2", bias=0.2)
    LocalTarget(platform, storage, "flights").begin(left)
    deploy(platform, ledger, storage, new)
    assert set(supervisor.states()) == {"router", f"model-flights-{new.version}"}


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


def test_a_retry_finishes_what_a_killed_try_began(
    platform: Home, supervisor: Supervisor, ledger: Ledger, storage: Storage, registered: Registered, tmp_path: Path
) -> None:
    old, new = registered("run-1"), registered("run-2", bias=0.2)
    deploy(platform, ledger, storage, old)
    process = ModelProcess(platform, supervisor, "flights", new.version)
    process.install(fetch(storage, new, tmp_path / "copy"))
    process.begin()
    assert wait_until(lambda: process.progress().state == "ready", seconds=60)
    pid = pid_of(supervisor, new)
    assert served_version(platform) == old.version
    deploy(platform, ledger, storage, new)
    assert served_version(platform) == new.version
    assert pid_of(supervisor, new) == pid


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


def _on_ledger(home: Home, statement: str) -> None:
    with closing(sqlite3.connect(home.root / "ledger.db")) as database:
        database.execute(statement)
        database.commit()


def _files(home: Home) -> dict[str, str | None]:
    """The router's state, the bundles and the programs."""
    files = [*home.serving.rglob("*"), *(home.supervisor / "conf.d").iterdir()]
    return {
        str(path): json.dumps(path.read_bytes().hex()) if path.is_file() else None
        for path in files
        if not path.name.endswith("lock")
    }


def test_a_deployment_survives_json() -> None:
    deployment = Deployment(name="a", version="b", weights={"b": 100}, endpoint="http://c")
    assert Deployment.from_dict(json.loads(json.dumps(deployment.to_dict()))) == deployment
