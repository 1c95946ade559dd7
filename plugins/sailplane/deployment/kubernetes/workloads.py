"""How a DAG declares that a version runs on a cluster. Imports nothing heavy, because DAG files import it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import timedelta
from typing import Any, Final

from sailplane.errors import ConfigurationError

DEADLINE: Final = timedelta(minutes=10)


def _modest() -> dict[str, dict[str, str]]:
    return {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}}


@dataclass(frozen=True, kw_only=True)
class CoreV1:
    """Runs a model on Seldon Core v1: one SeldonDeployment for each model, one predictor for each version.

    :param image: an image with `sailplane.serving.SeldonModel` in Seldon's wrapper, as docker/seldon builds it
    :param replicas: pods of each version
    :param resources: the container's resources, as in a pod
    :param environment: environment variables of the container
    :param secret: a Kubernetes secret whose keys also become environment variables, such as the store's credentials
    :param service_account: the pods' service account; None for the namespace's default
    :param deadline: how long a version may take to become available
    :param address: the address of a predictor's own service, with `{service}` and `{namespace}`, for example
        `http://{service}.{namespace}:8000`; None for the API server's proxy
    :param ingress: the address of the cluster's gateway, for the endpoint that is returned
    :param on_violation: set by `deploy(..., on_violation=...)`
    :raises ConfigurationError: without an image, for fewer than one replica, or a `deadline` that is not positive

    Example::

        CoreV1(image="registry.example.com/sailplane-seldon:0.1.0", replicas=2, secret="store-access")
    """

    image: str
    replicas: int = 1
    resources: Mapping[str, Mapping[str, str]] = field(default_factory=_modest)
    environment: Mapping[str, str] = field(default_factory=dict)
    secret: str | None = None
    service_account: str | None = None
    deadline: timedelta = DEADLINE
    address: str | None = None
    ingress: str = ""
    on_violation: str = "refuse"

    def __post_init__(self) -> None:
        _check(self.replicas, self.deadline)
        if not self.image:
            raise ConfigurationError("read CoreV1", got="no image", expected="the image of docker/seldon")


@dataclass(frozen=True, kw_only=True)
class CoreV2:
    """Runs a model on Seldon Core v2: one Model for each version, one Experiment for each model.

    :param requirements: the capabilities that a Server needs to load the bundle
    :param replicas: servers that load a version
    :param memory: how much memory a version needs, for Seldon's scheduler
    :param secret: a Kubernetes secret with the storage configuration of Seldon's agent
    :param deadline: how long a version may take to become ready
    :param mesh: the service that answers for every model
    :param address: the address of that service, with `{service}` and `{namespace}`; None for the API server's proxy
    :param ingress: the address of the cluster's gateway, for the endpoint that is returned
    :param on_violation: set by `deploy(..., on_violation=...)`; a parameter of the Model
    :raises ConfigurationError: for fewer than one replica, or a `deadline` that is not positive

    Example::

        CoreV2(replicas=2, memory="1Gi")
    """

    requirements: Sequence[str] = ("sailplane",)
    replicas: int = 1
    memory: str = "512Mi"
    secret: str | None = None
    deadline: timedelta = DEADLINE
    mesh: str = "seldon-mesh"
    address: str | None = None
    ingress: str = ""
    on_violation: str = "refuse"

    def __post_init__(self) -> None:
        _check(self.replicas, self.deadline)


_KINDS: Final = {kind.__name__: kind for kind in (CoreV1, CoreV2)}


def to_dict(workload: CoreV1 | CoreV2) -> dict[str, Any]:
    """The workload as JSON."""
    return {**asdict(workload), "kind": type(workload).__name__, "deadline": workload.deadline.total_seconds()}


def from_dict(values: Mapping[str, Any]) -> CoreV1 | CoreV2:
    kind = _KINDS[values["kind"]]
    given = {field.name: values[field.name] for field in fields(kind) if field.name in values}
    workload: CoreV1 | CoreV2 = kind(**{**given, "deadline": timedelta(seconds=values["deadline"])})
    return workload


def _check(replicas: int, deadline: timedelta) -> None:
    if replicas < 1:
        raise ConfigurationError("read replicas", got=replicas, expected="at least 1")
    if deadline <= timedelta(0):
        raise ConfigurationError("read deadline", got=deadline, expected="a positive time")
