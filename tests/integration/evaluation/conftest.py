from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.evaluation.toy import Toy


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy.at(tmp_path)
