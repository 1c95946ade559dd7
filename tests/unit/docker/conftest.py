from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def project() -> Path:
    return PROJECT


@pytest.fixture(scope="session")
def dockerfile(project: Path) -> str:
    return (project / "docker" / "Dockerfile").read_text()


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((PROJECT / "docker" / "compose.yaml").read_text()))


@pytest.fixture(scope="session")
def ours(compose: dict[str, Any]) -> dict[str, Any]:
    """The services that run this project's own image."""
    return {name: service for name, service in compose["services"].items() if "build" in service}
