from __future__ import annotations

from pathlib import Path

import pytest

from sailplane.ledger import Ledger
from tests.unit.deployment.rollout.served import Served


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.create(f"sqlite:///{tmp_path / 'ledger.db'}")


@pytest.fixture
def served(ledger: Ledger) -> Served:
    served = Served(ledger)
    served.begin()
    return served
