"""What Airflow is told of this package as a provider."""

from __future__ import annotations

from typing import Any, Final

from sailplane import __doc__ as description

ALGORITHMIA: Final = {
    "connection-type": "algorithmia",
    "hook-class-name": "sailplane.hooks.algorithmia.AlgorithmiaHook",
    "hook-name": "Algorithmia",
    "ui-field-behaviour": {
        "hidden-fields": ["login", "port", "schema", "extra"],
        "relabeling": {"host": "Endpoint", "password": "API key"},
        "placeholders": {"host": "http://localhost:9010"},
    },
}

WANDB: Final = {
    "connection-type": "wandb",
    "hook-class-name": "sailplane.hooks.wandb.WandbHook",
    "hook-name": "Weights & Biases",
    "ui-field-behaviour": {
        "hidden-fields": ["port", "schema", "extra"],
        "relabeling": {"host": "Server", "login": "Entity", "password": "API key"},
        "placeholders": {"host": "W&B's own, or https://wandb.example.com", "login": "the key's own, or a team"},
    },
}


def get_provider_info() -> dict[str, Any]:
    return {
        "package-name": "sailplane",
        "name": "Sailplane",
        "description": description,
        "versions": ["0.1.0"],
        "filesystems": [f"sailplane.filesystems.{scheme}" for scheme in ("data", "hf", "s3")],
        "connection-types": [ALGORITHMIA, WANDB],
        "extra-links": ["sailplane.operators.links.ReportLink"],
    }
