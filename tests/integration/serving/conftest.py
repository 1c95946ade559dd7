from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.environments import kept_environment
from tests.programs import find

PROJECT = Path(__file__).parents[3]
REQUIREMENTS = PROJECT / "docker" / "seldon" / "requirements.txt"


@pytest.fixture(scope="session")
def seldon_python() -> Path:
    """Returns the Python of the image's environment. Its tests need python3.11."""
    this = sys.version_info[:2] == (3, 11)
    return kept_environment(REQUIREMENTS, sys.executable if this else str(find("python3.11")))
