from __future__ import annotations

from pathlib import Path

import pytest

from sailplane.home import Home
from tests.ports import free_port


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.find(
        {
            "SAILPLANE_PROJECT": str(tmp_path),
            "SAILPLANE_HOME": str(tmp_path / "home"),
            "SAILPLANE_UI_PORT": str(free_port()),
            "SAILPLANE_ROUTER_PORT": str(free_port()),
        }
    )
