from __future__ import annotations

from pathlib import Path

import pytest

from sailplane.ledger import Ledger
from tests.homes import new_ledger
from tests.unit.deployment.rollout.served import Served


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return new_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


@pytest.fixture
def served(ledger: Ledger) -> Served:
    served = Served(ledger)
    served.begin()
    return served
