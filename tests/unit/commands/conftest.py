from __future__ import annotations

from tests.unit.services.conftest import home, made  # noqa: F401
