from __future__ import annotations

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


@pytest.mark.parametrize("port", ["http", "0", "65536", "-1", "80.5"])
def test_a_port_that_is_none_is_refused_by_the_settings_name(tmp_path, port):
    with pytest.raises(ConfigurationError, match=r"SAILPLANE_ROUTER_PORT: '.*'; expected a port"):
        Home.find({"SAILPLANE_PROJECT": str(tmp_path), "SAILPLANE_ROUTER_PORT": port})
