"""What Airflow is told of this package as a provider."""

from __future__ import annotations

from typing import Any

from sailplane import __doc__ as description


def get_provider_info() -> dict[str, Any]:
    return {"package-name": "sailplane", "name": "Sailplane", "description": description, "versions": ["0.1.0"]}
