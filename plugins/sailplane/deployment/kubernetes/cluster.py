"""One namespace of a cluster, through the `kubernetes` client: what is written is checked field by field, and what
somebody else has changed meanwhile is read again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from sailplane.deployment.http_client import Reply
from sailplane.deployment.kubernetes.merge_patch import changes
from sailplane.errors import DeploymentError, ServiceError

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

Object = dict[str, Any]

#: To connect, and until an answer.
SECONDS: Final = (5.0, 20.0)
_TRIES: Final = 20
_BUSY: Final = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True)
class ResourceKind:
    """`package`: what brings it to a cluster."""

    group: str
    version: str
    plural: str
    package: str


SELDON_DEPLOYMENT: Final = ResourceKind("machinelearning.seldon.io", "v1", "seldondeployments", "Seldon Core 1.17.1")
MODEL: Final = ResourceKind("mlops.seldon.io", "v1alpha1", "models", "Seldon Core 2.6.0")
EXPERIMENT: Final = ResourceKind("mlops.seldon.io", "v1alpha1", "experiments", "Seldon Core 2.6.0")


class Cluster:
    """Raises DeploymentError for what it refuses, ServiceError where it does not answer for `patience` seconds.
    `connection`: the one of Airflow that leads there."""

    def __init__(
        self,
        client: ApiClient,
        namespace: str,
        *,
        patience: float = 30,
        seconds: tuple[float, float] = SECONDS,
        connection: str = "",
    ) -> None:
        from kubernetes.client import CoreV1Api, CustomObjectsApi

        self.client, self.namespace, self.patience, self.seconds = client, namespace, patience, seconds
        self.connection = connection
        self._custom, self._core = CustomObjectsApi(client), CoreV1Api(client)

    def get(self, kind: ResourceKind, name: str) -> Object | None:
        found: Object | None = self._on(kind, name, self._custom.get_namespaced_custom_object, missing=None)
        return found

    def change(self, kind: ResourceKind, name: str, edit: Callable[[Object | None], Object | None]) -> None:
        """`edit` makes of the object, or of None, what it is to be; None: it is to be gone. It is called again, with
        what is there then, if somebody else wrote in between. What is as it is to be is not written."""
        for _ in range(_TRIES):
            found = self.get(kind, name)
            wanted = edit(found)
            if wanted == found or self._write(kind, name, found, wanted):
                return
        expected = "that its writers come to an end"
        raise ServiceError("change", f"{kind.plural} {name}", got=f"{_TRIES} conflicts in a row", expected=expected)

    def pods(self, selector: str) -> list[Object]:
        list_pods = self._core.list_namespaced_pod
        how: Object = {"label_selector": selector, "_preload_content": False, "_request_timeout": self.seconds}
        return list(json.loads(self._ask("list pods", lambda: list_pods(self.namespace, **how)).data)["items"])

    def waiting(self, selector: str) -> str:
        """Why the pods' containers wait or ended; empty if the connection's user may not read pods."""
        try:
            pods = self.pods(selector)
        except DeploymentError:
            return ""
        statuses = [one for pod in pods for one in (pod.get("status") or {}).get("containerStatuses") or ()]
        states = [one.get("state", {}) for one in statuses]
        reasons = [state.get("waiting") or state.get("terminated") or {} for state in states]
        return "; ".join(
            sorted({": ".join(filter(None, map(one.get, ("reason", "message")))) for one in reasons if one})
        )

    def list(self, kind: ResourceKind, selector: str) -> list[Object]:
        custom = self._custom.list_namespaced_custom_object
        return list(self._on(kind, None, custom, label_selector=selector)["items"])

    def post(self, service: str, port: int, path: str, message: object, headers: dict[str, str] | None = None) -> Reply:
        """POSTs to a service through the API server. Status 0 if the API server does not answer."""
        proxied = f"/api/v1/namespaces/{self.namespace}/services/{service}:{port}/proxy{path}"
        given = {"Content-Type": "application/json", "Accept": "application/json", **(headers or {})}
        return _reply(lambda: self._call("POST", proxied, given, message))

    def read(self, pod: str, port: int, path: str) -> Reply:
        """GETs from a pod through the API server. Status 0 if the API server does not answer."""
        proxied = f"/api/v1/namespaces/{self.namespace}/pods/{pod}:{port}/proxy{path}"
        return _reply(lambda: self._call("GET", proxied, {"Accept": "*/*"}, None))

    def _write(self, kind: ResourceKind, name: str, found: Object | None, wanted: Object | None) -> bool:
        """False on a conflict."""
        custom = self._custom
        try:
            if found is None:
                self._on(kind, None, custom.create_namespaced_custom_object, body=wanted, **_STRICT)
            elif wanted is None:
                self._on(kind, name, custom.delete_namespaced_custom_object, missing=None, body=_exactly(found))
            else:
                self._on(kind, name, custom.patch_namespaced_custom_object, body=changes(found, wanted), **_MERGE)
        except _Conflict:
            return False
        return True

    def _on(self, kind: ResourceKind, name: str | None, verb: Callable[..., Any], **how: Any) -> Any:
        arguments = (kind.group, kind.version, self.namespace, kind.plural, *([name] if name else []))
        optional = "missing" in how
        how.pop("missing", None)
        doing = f"{verb.__name__.partition('_')[0]} {kind.plural} {name or ''}".strip()
        try:
            return self._ask(doing, lambda: verb(*arguments, _request_timeout=self.seconds, **how))
        except _Missing as error:
            # The server names no reason for a kind that the cluster does not know.
            if error.known and optional:
                return None
            remedy = f"Install {kind.package} on the cluster." if not error.known else ""
            raise DeploymentError(doing, f"in {self.namespace}", got=error, remedy=remedy) from error

    def _ask(self, doing: str, call: Callable[[], Any]) -> Any:
        """Repeats the call while the API server is away or busy."""
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        deadline, pause = time.monotonic() + self.patience, 0.1
        while True:
            try:
                return call()
            except ApiException as error:
                refused = _refusal(doing, error)
                if error.status not in _BUSY:
                    raise refused from error
            except HTTPError as error:
                refused = ServiceError("reach the API server", self.client.configuration.host, got=_first(error))
            except AttributeError as error:  # what the client makes of a certificate that it does not trust
                if not isinstance(error.__context__, ApiException):
                    raise
                raise _refusal(doing, error.__context__) from error
            if time.monotonic() + pause > deadline:
                raise refused
            time.sleep(pause)
            pause = min(2 * pause, 2.0)

    def _call(self, method: str, path: str, headers: dict[str, str], message: object) -> Any:
        return self.client.call_api(
            path,
            method,
            header_params=headers,
            body=message,
            auth_settings=["BearerToken"],
            _preload_content=False,
            _return_http_data_only=True,
            _request_timeout=self.seconds,
        )


_STRICT: Final = {"field_validation": "Strict"}
# A list in the body would be sent as one too, and only this says that it is none.
_MERGE: Final = {**_STRICT, "_content_type": "application/merge-patch+json"}


class _Conflict(ServiceError):
    """Somebody else was faster."""


class _Missing(DeploymentError):
    """`known`: the server knows the kind, and has no object of that name."""

    def __init__(self, doing: str, known: bool) -> None:
        super().__init__(doing, got="nothing there" if known else "the cluster does not know this kind")
        self.known = known


def _refusal(doing: str, error: Any) -> ServiceError:
    said = _said(error)
    if error.status == HTTPStatus.CONFLICT:
        return _Conflict(doing, got=said)
    if error.status == HTTPStatus.NOT_FOUND:
        return _Missing(doing, known=_is_status(error.body))
    if error.status in _BUSY:
        return ServiceError(doing, got=f"{error.status}: {said}", remedy="Look whether the API server is well.")
    # 0: its certificate is not trusted.
    unknown = error.status in (0, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
    remedy = "Correct the connection, or what its user may do." if unknown else ""
    return DeploymentError(doing, got=f"{error.status}: {said}" if error.status else said, remedy=remedy)


def _said(error: Any) -> str:
    if _is_status(error.body):
        return str(json.loads(error.body).get("message"))
    return str(error.reason)


def _is_status(body: Any) -> bool:
    try:
        return json.loads(body or "")["kind"] == "Status" and "details" in json.loads(body)
    except (ValueError, TypeError, KeyError):
        return False


def _exactly(found: Object) -> Object:
    metadata = found["metadata"]
    conditions = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
    return {"propagationPolicy": "Background", "preconditions": conditions}


def _first(error: Exception) -> str:
    """urllib3 tells the whole way; the reason comes last."""
    reason = getattr(error, "reason", None) or error
    return str(reason).rpartition(": ")[2] or type(error).__name__


def _reply(call: Callable[[], Any]) -> Reply:
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    try:
        answer = call()
    except ApiException as error:
        return Reply(int(error.status or 0), (error.body or "").encode() if isinstance(error.body, str) else b"")
    except HTTPError as error:
        return Reply(0, _first(error).encode())
    return Reply(answer.status, answer.data)
