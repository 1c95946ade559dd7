from __future__ import annotations

import shutil
from typing import Any

import pytest

from sailplane.commands.up import starting_models, up
from sailplane.deployment.envoy.router import Router
from sailplane.deployment.target import TrafficSplit
from sailplane.errors import ServiceError
from sailplane.home import Home
from sailplane.services.main_run import main_dag


def test_a_full_disk_is_one_clear_line(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def almost_full(path: Any) -> Any:
        return shutil._ntuple_diskusage(10**9, 9 * 10**8, 10**8)  # type: ignore[attr-defined]

    monkeypatch.setattr(shutil, "disk_usage", almost_full)
    with pytest.raises(ServiceError, match=r"the disk has 100 MB free; expected 500 MB or more\. Free some space"):
        up(home, run=False)
    assert not home.root.exists()


def test_the_main_dag_is_the_one_that_the_project_names(home: Home) -> None:
    assert main_dag(home) is None
    (home.project / "pyproject.toml").write_text('[tool.sailplane]\nmain = "flights"\n')
    assert main_dag(home) == "flights"


def test_up_waits_for_the_models_that_have_traffic(home: Home) -> None:
    assert starting_models(home) == {}
    router = Router(home)
    router.add("flights", "a", 20001)
    router.add("flights", "b", 20002)
    router.split("flights", TrafficSplit({"a": 90, "b": 10}))
    assert starting_models(home) == {"model-flights-a": "starting", "model-flights-b": "starting"}
