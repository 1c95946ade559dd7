from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sailplane import pairing
from sailplane.home import Home
from tests.ports import free_port
from tests.unit.commands import lost_ledgers


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


@pytest.fixture
def made(home: Home, tmp_path: Path) -> Iterator[Home]:
    """Registers two versions, of which the first serves, and the verdict on the second."""
    pairing.forget()
    yield lost_ledgers.made(home, tmp_path)
    pairing.forget()
