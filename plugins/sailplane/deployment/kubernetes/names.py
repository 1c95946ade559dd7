"""The names of a model's objects, and of those that Seldon's operator makes from them.

https://github.com/SeldonIO/seldon-core/blob/v1.17.1/operator/apis/machinelearning.seldon.io/v1/seldondeployment_types.go
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

# The same in every predictor, because the operator assigns ports by container name, and a new port would restart pods.
CONTAINER: Final = "model"

MODEL: Final = "sailplane/model"
VERSION: Final = "sailplane/version"
# When the version was started. Objects on clusters carry this name.
STARTED: Final = "sailplane/begun"
DIGEST: Final = "sailplane/digest"
MANAGED_BY: Final = ("app.kubernetes.io/managed-by", "sailplane")

_LONGEST: Final = 63


def object_name(model: str) -> str:
    """The name of the model's SeldonDeployment or Experiment, from which valid names of services can be made."""
    dashed = model.replace("_", "-").rstrip("-")
    return dashed if dashed[0].isalpha() else f"m-{dashed}"


def predictor_name(version: str) -> str:
    return f"v{version}"


def version_of(predictor: str) -> str | None:
    """The version of a predictor; None if Sailplane did not make it."""
    match = re.fullmatch(r"v([0-9a-f]{12})", predictor)
    return match[1] if match else None


def service_name(model: str, version: str) -> str:
    """The name of the predictor's own service."""
    return _short(f"{object_name(model)}-{predictor_name(version)}")


def deployment_name(model: str, version: str) -> str:
    """The name of the predictor's Deployment, which is its key in `deploymentStatus`."""
    return _short(f"{object_name(model)}-{predictor_name(version)}-0-{CONTAINER}")


def _short(name: str) -> str:
    digest = hashlib.md5(name.encode(), usedforsecurity=False)
    return name if len(name) <= _LONGEST else f"seldon-{digest.hexdigest()}"
