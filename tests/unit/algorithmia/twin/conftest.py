from __future__ import annotations

from pathlib import Path

import pytest

from sailplane.ledger import Ledger
from sailplane.storage.store import Storage
from tests.homes import new_ledger


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage((tmp_path / "store").as_uri())


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return new_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
