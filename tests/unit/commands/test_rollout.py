"""Rollouts in `sailplane status` and `sailplane rollout show`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from sailplane.cli import main
from sailplane.commands.rollout import on_their_way, print_on_their_way
from sailplane.commands.status import on_ledger
from sailplane.deployment.rollout import repository
from sailplane.deployment.rollout.run import AT_ONCE
from sailplane.deployment.rollout.state import Subject
from sailplane.home import Home
from sailplane.registry.models import get
from tests.homes import new_ledger
from tests.unit.deployment.rollout.served import Served
from tests.unit.deployment.rollout.simulated_target import CANARY, CHAMPION, NAME


@pytest.fixture
def served(home: Home, monkeypatch: pytest.MonkeyPatch) -> Served:
    monkeypatch.setenv("SAILPLANE_HOME", str(home.root))
    monkeypatch.setenv("SAILPLANE_PROJECT", str(home.project))
    served = Served(new_ledger(home.ledger))
    served.clock.now = time.time()
    served.begin()
    return served


@pytest.fixture
def said(served: Served, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*arguments: str, code: int = 0) -> str:
        capsys.readouterr()
        assert main(["rollout", "show", *arguments]) == code
        answer = capsys.readouterr()
        return answer.err if code else answer.out

    return run


def test_a_running_rollout_is_listed_with_its_step_its_time_its_figures_and_its_end(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    served.until(lambda state: state.stage == "baking 0" and state.watched >= 5)
    [one] = on_their_way(served.ledger)
    assert (one["model"], one["version"], one["champion"]) == (NAME, CANARY, CHAMPION)
    assert (one["stage"], one["percent"], one["watched_seconds"]) == ("baking 0", 10, 5.0)
    # 15 s of this step and 20 s of the next.
    assert one["least_seconds_left"] == 35.0
    print_on_their_way([one])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "ROLLOUT of m v2: baking 0, 10 % of the traffic, 5 s into this step, at least 35 s left"
    assert lines[2].startswith("  error rate: 0.0000 (0.0000 to ")
    assert lines[3].startswith("    fails above the limit, if the champion is better in the same time; ")
    assert "blocks of time, level 0.0" in lines[3]
    assert lines[-1] == "  Started by task 1. `sailplane rollback m` ends it."
    assert main(["status"]) == 1, "the services are down"
    assert "\n".join(lines) in capsys.readouterr().out
    main(["status", "--json"])
    [told] = json.loads(capsys.readouterr().out)["rollouts"]
    assert (told["stage"], told["least_seconds_left"], told["checks"]) == ("baking 0", 35.0, one["checks"])
    assert told["end"] == "sailplane rollback m"


def test_a_rollout_that_nobody_drives_is_said_to_stall_and_needs_a_person(
    served: Served, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not on_ledger(home).needs_a_person
    served.clock.now = time.time() - 600
    served.driver.tick()
    [one] = on_their_way(served.ledger)
    assert "no check has succeeded for 6" in one["stalled"]
    print_on_their_way([one])
    assert "  STALLED: no check has succeeded for 6" in capsys.readouterr().out
    assert on_ledger(home).needs_a_person


def test_a_rollback_that_was_killed_in_the_middle_stalls_with_the_command_that_ends_it(
    served: Served,
) -> None:
    served.until(lambda state: state.ended)
    served.clock.now = time.time() - 600
    served.serving.begin_back(get(served.ledger, NAME, CHAMPION), "ada", hold=True)
    [one] = on_their_way(served.ledger)
    assert one["stalled"].endswith("s ago. Run `sailplane rollback m` again.")


def test_a_deployment_at_once_that_was_killed_stalls_with_what_ends_it(served: Served) -> None:
    served.until(lambda state: state.ended)
    served.clock.now = time.time() - 600
    begun = {"owner": "task 2", "turn": "2", "at_once": True}
    subject = Subject(name=NAME, version=CHAMPION, champion=CANARY, endpoint="http://x", **begun)  # type: ignore[arg-type]
    repository.begin(served.ledger, subject, AT_ONCE, served.clock())
    [one] = on_their_way(served.ledger)
    told = one["stalled"]
    assert told.startswith("the deployment was interrupted 6")
    assert told.endswith("s ago. The next one takes its place, or `sailplane rollback m` ends it.")


def test_a_rollout_that_has_ended_is_not_listed(served: Served) -> None:
    served.until(lambda state: state.ended)
    assert on_their_way(served.ledger) == []


def test_every_decision_is_shown_with_its_evidence(served: Served, said: Callable[..., str]) -> None:
    served.until(lambda state: state.phase == "baking")
    served.until(lambda state: state.ended, failing=0.9)
    lines = said(NAME).splitlines()
    assert "attempt 1  starting, by task 1" in lines[0]
    assert any("shadowing -> baking 0" in line for line in lines)
    [failed] = [line for line in lines if line.startswith("    failed: error rate: 0.9")]
    assert failed.endswith("of 1")
    told = lines[lines.index(failed) + 1]
    assert "fails above the limit" in told
    assert "blocks of time, level 0.02" in told, "what the shadow has left is spent too"
    assert "rolling back -> failed" in lines[-1]


def test_a_rollout_in_the_middle_is_shown_with_what_its_checks_say_now(
    served: Served, said: Callable[..., str]
) -> None:
    served.until(lambda state: state.phase == "shadowing")
    assert said(NAME).splitlines()[-4].startswith("ROLLOUT of m v2: shadowing, a copy of each request, ")
    shown = json.loads(said(NAME, "--version", CANARY, "--json"))
    assert shown["shadow"] is True
    assert [one["after"] for one in shown["decisions"]] == ["starting", "shadowing"]


def test_a_model_without_a_rollout_is_an_error(said: Callable[..., str]) -> None:
    assert "find a rollout of other: no such rollout" in said("other", code=1)
    assert "find a rollout of m v1: no such rollout" in said(NAME, "--version", CHAMPION, code=1)
