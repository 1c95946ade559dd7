"""Deployments on this machine that fail, are killed or are rolled back: the old version keeps serving."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from sailplane.deployment.http_client import wait_until
from sailplane.deployment.local.model_process import ModelProcess
from sailplane.deployment.local.target import LocalTarget
from sailplane.deployment.rollout import repository
from sailplane.deployment.rollout.plan import Rollout
from sailplane.deployment.rollout.rollback import roll_back
from sailplane.deployment.rollout.run import ModelEndpoint
from sailplane.errors import DeploymentError, HeldError
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Model
from sailplane.registry.models import alias, fetch
from sailplane.storage import Storage
from sailplane.supervisor import Supervisor
from tests.integration.deployment.routed import deploy, files_of, pid_of, served_version
from tests.unit.bundles import tiny

Registered = Callable[..., Model]


def _on_ledger(home: Home, statement: str) -> None:
    with closing(sqlite3.connect(home.root / "ledger.db")) as database:
        database.execute(statement)
        database.commit()


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
    before, pid = files_of(platform), pid_of(supervisor, good)
    with pytest.raises(DeploymentError, match=reason):
        deploy(platform, ledger, storage, broken)
    assert served_version(platform) == good.version
    assert pid_of(supervisor, good) == pid
    assert set(supervisor.states()) == {"router", f"model-flights-{good.version}"}
    assert files_of(platform) == before
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
    """A restored ledger names rollouts that have ended since the backup."""
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
    """Restoring an older ledger while a version starts leaves such a version."""
    left, new = registered("run-1"), registered("run-2", bias=0.2)
    LocalTarget(platform, storage, "flights").begin(left)
    deploy(platform, ledger, storage, new)
    assert set(supervisor.states()) == {"router", f"model-flights-{new.version}"}


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
