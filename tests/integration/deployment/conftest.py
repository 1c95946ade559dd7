from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sailplane.deployment.envoy.router import router_program
from sailplane.deployment.rollout.run import ModelEndpoint
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Model
from sailplane.registry.models import register
from sailplane.storage import Storage
from sailplane.supervisor import Supervisor
from tests.ports import free_port
from tests.unit.bundles import tiny


@pytest.fixture
def home(tmp_path: Path) -> Home:
    settings = {
        "SAILPLANE_PROJECT": str(tmp_path),
        "SAILPLANE_HOME": str(tmp_path / "home"),
        "SAILPLANE_ROUTER_PORT": str(free_port()),
    }
    return Home.find(settings)


@pytest.fixture
def supervisor(home: Home) -> Iterator[Supervisor]:
    supervisor = Supervisor(home)
    supervisor.boot()
    try:
        yield supervisor
    finally:
        supervisor.shutdown()


@pytest.fixture
def platform(home: Home, supervisor: Supervisor) -> Home:
    """A running supervisor and router. Nothing is served."""
    supervisor.put(router_program(home))
    supervisor.update()
    return home


@pytest.fixture
def storage(home: Home) -> Storage:
    return Storage(home.store)


@pytest.fixture
def ledger(home: Home) -> Ledger:
    return Ledger.create(home.ledger)


@pytest.fixture
def registered(home: Home, storage: Storage, ledger: Ledger, tmp_path: Path) -> Callable[..., Model]:
    """`registered("run-1", bias=0.1)` registers a version of the tiny model."""

    def make(run: str, **how: object) -> Model:
        bundle = tiny.bundle(tmp_path / "trained" / run, run=run, **how)  # type: ignore[arg-type]
        return register(ledger, storage, tiny.run_of(bundle, storage))

    return make


@pytest.fixture
def serving(platform: Home, ledger: Ledger, storage: Storage, registered: Callable[..., Model]) -> ModelEndpoint:
    """An endpoint that serves the first version."""
    serving = ModelEndpoint.local(platform, ledger, storage, "flights")
    serving.deploy(registered("run-1"), "the test")
    return serving
