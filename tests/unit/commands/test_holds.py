"""`sailplane release`, and holds in `sailplane status`."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from sailplane.cli import main
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.registry import holds
from tests.homes import new_home
from tests.unit.deployment.rollout.simulated_target import NAME, register


@pytest.fixture
def ledger(home: Home, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setenv("SAILPLANE_HOME", str(home.root))
    monkeypatch.setenv("SAILPLANE_PROJECT", str(home.project))
    new_home(home)
    ledger = Ledger.at(home)
    register(ledger, "v1", "v2")
    with ledger.begin() as connection:
        holds.hold_within(connection, holds.Hold(NAME, time.time(), "ada@host", "v2", "v1"))
    return ledger


def test_status_lists_a_hold_with_its_reason_and_the_command_that_ends_it(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status"]) == 1, "the services are down"
    said = capsys.readouterr().out
    assert "\nHOLD on m: Automatic deployments of m have been on hold since " in said
    assert "when ada@host rolled back v2 to v1. `sailplane release m`, or" in said
    main(["status", "--json"])
    [hold] = json.loads(capsys.readouterr().out)["holds"]
    assert (hold["model"], hold["by"], hold["version"], hold["serves"]) == (NAME, "ada@host", "v2", "v1")
    assert hold["end"] == "sailplane release m"


def test_release_lifts_the_hold_and_names_what_is_not_held(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["release", NAME]) == 0
    assert capsys.readouterr().out.startswith("m: runs may deploy it again. It was on hold since ")
    assert holds.all_holds(ledger) == []
    assert main(["release", NAME]) == 1
    assert "release m: its deployments are not held." in capsys.readouterr().err
    assert main(["release", "other"]) == 1
    assert (
        "release other: no such model. `sailplane models list` shows the registered models." in capsys.readouterr().err
    )


def test_a_rebuilt_ledger_says_that_it_has_no_holds(
    ledger: Ledger, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger.engine.dispose()
    Path(str(ledger.engine.url.database)).unlink()
    assert main(["ledger", "rebuild"]) == 0
    assert "- holds and rolled-back versions: `sailplane rollback MODEL --to" in capsys.readouterr().out
