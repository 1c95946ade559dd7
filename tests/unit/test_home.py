from __future__ import annotations

import os
import subprocess
import sys

import pytest

from sailplane.errors import ConfigurationError
from sailplane.home import Home


def test_everything_lies_under_the_projects_own_folder_by_default(tmp_path):
    home = Home.find({"SAILPLANE_PROJECT": str(tmp_path)})
    assert home.root == tmp_path.resolve() / ".sailplane"
    assert home.store == (home.root / "store").as_uri()
    assert home.ledger == f"sqlite:///{home.root / 'ledger.db'}"
    assert (home.ui_port, home.router_port) == (8080, 9000)


def test_settings_move_a_part_elsewhere(tmp_path):
    env = {
        "SAILPLANE_PROJECT": str(tmp_path),
        "SAILPLANE_HOME": str(tmp_path / "h"),
        "SAILPLANE_STORE": "file:///data",
        "SAILPLANE_LEDGER": "postgresql:///ledger",
        "SAILPLANE_UI_PORT": "8081",
    }
    home = Home.find(env)
    assert (home.store, home.ledger, home.ui_port) == ("file:///data", "postgresql:///ledger", 8081)
    assert home.jobs == tmp_path.resolve() / "h" / "jobs"


@pytest.mark.slow
def test_a_setting_may_stand_in_the_projects_env_file_and_the_environment_comes_first(tmp_path):
    (tmp_path / ".env").write_text("# all of ours\nSAILPLANE_UI_PORT='none'\n")

    def status(**given: str) -> subprocess.CompletedProcess[str]:
        env = {key: value for key, value in os.environ.items() if not key.startswith("SAILPLANE_")}
        env = {**env, **given, "SAILPLANE_PROJECT": str(tmp_path)}
        command = [sys.executable, "-m", "sailplane.cli", "status", "--json"]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    assert "SAILPLANE_UI_PORT: 'none'; expected a port" in status().stderr
    assert status(SAILPLANE_UI_PORT="8090").stderr == ""


@pytest.mark.parametrize("port", ["http", "0", "65536", "-1", "80.5"])
def test_a_port_that_is_none_is_refused_by_the_settings_name(tmp_path, port):
    with pytest.raises(ConfigurationError, match=r"SAILPLANE_ROUTER_PORT: '.*'; expected a port"):
        Home.find({"SAILPLANE_PROJECT": str(tmp_path), "SAILPLANE_ROUTER_PORT": port})


def test_a_switch_is_on_or_off(tmp_path):
    def logs(value):
        return Home.find({"SAILPLANE_PROJECT": str(tmp_path), "SAILPLANE_REQUEST_LOG": value}).logs_requests

    assert (logs(""), logs("on"), logs("off")) == (True, True, False)
    with pytest.raises(ConfigurationError, match="SAILPLANE_REQUEST_LOG: 'false'; expected on or off"):
        logs("false")
