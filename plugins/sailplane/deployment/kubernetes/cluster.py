"""One namespace of a cluster, through the `kubernetes` client. The API server validates every field of a write, and a
write that conflicts with another one starts again from the new object."""

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

#: Time-outs for connecting and for an answer.
SECONDS: Final = (5.0, 20.0)
_TRIES: Final = 20
_BUSY: Final = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True)
class ResourceKind:
    """A kind of custom resource. `package`: the software that installs it on a cluster."""

    group: str
    version: str
    plural: str
    package: str


SELDON_DEPLOYMENT: Final = ResourceKind("machinelearning.seldon.io", "v1", "seldondeployments", "Seldon Core 1.17.1")
MODEL: Final = ResourceKind("mlops.seldon.io", "v1alpha1", "models", "Seldon Core 2.6.0")
EXPERIMENT: Final = ResourceKind("mlops.seldon.io", "v1alpha1", "experiments", "Seldon Core 2.6.0")


class Cluster:
    """One namespace. Raises DeploymentError if the API server refuses a call, ServiceError if it does not answer for
    `patience` seconds.

    :param seconds: the time-outs for connecting and for an answer
    :param connection: the Airflow connection of the cluster
    """

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
        """The object; None if there is none."""
        found: Object | None = self._on(kind, name, self._custom.get_namespaced_custom_object, missing=None)
        return found

    def change(self, kind: ResourceKind, name: str, edit: Callable[[Object | None], Object | None]) -> None:
        """Creates, changes or deletes the object. Writes nothing if `edit` changes nothing.

        :param edit: gets the object, or None if there is none, and returns the wanted object, or None to delete it. It
            is called again with the new object if another writer was faster
        """
        for _ in range(_TRIES):
            found = self.get(kind, name)
            wanted = edit(found)
            if wanted == found or self._write(kind, name, found, wanted):
                return
        remedy = "Stop the other writers of this object."
        raise ServiceError("change", f"{kind.plural} {name}", got=f"{_TRIES} conflicts in a row", remedy=remedy)

    def pods(self, selector: str) -> list[Object]:
        list_pods = self._core.list_namespaced_pod
        how: Object = {"label_selector": selector, "_preload_content": False, "_request_timeout": self.seconds}
        return list(json.loads(self._ask("list pods", lambda: list_pods(self.namespace, **how)).data)["items"])

    def waiting(self, selector: str) -> str:
        """Why the pods' containers are waiting or have ended; empty if the connection's user may not read pods."""
        try:
            pods = self.pods(selector)
        except DeploymentError:
            return ""
        containers = [each for pod in pods for each in (pod.get("status") or {}).get("containerStatuses") or ()]
        states = [container.get("state", {}) for container in containers]
        causes = [state.get("waiting") or state.get("terminated") or {} for state in states]
        return "; ".join(
            sorted({": ".join(filter(None, map(cause.get, ("reason", "message")))) for cause in causes if cause})
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
            # For a kind that the cluster does not know, the server gives no details.
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
                refused = ServiceError("reach the API server", self.client.configuration.host, got=_last_reason(error))
            except AttributeError as error:  # the client raises it for a certificate that it does not trust
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
# Without a content type, the client would choose that of a JSON patch or a strategic merge patch.
_MERGE: Final = {**_STRICT, "_content_type": "application/merge-patch+json"}


class _Conflict(ServiceError):
    """Another writer was faster."""


class _Missing(DeploymentError):
    """`known`: the server knows the kind, but has no object of that name."""

    def __init__(self, doing: str, known: bool) -> None:
        super().__init__(doing, got="no such object" if known else "the cluster does not know this kind")
        self.known = known


def _refusal(doing: str, error: Any) -> ServiceError:
    reason = _reason(error)
    if error.status == HTTPStatus.CONFLICT:
        return _Conflict(doing, got=reason)
    if error.status == HTTPStatus.NOT_FOUND:
        return _Missing(doing, known=_is_status(error.body))
    if error.status in _BUSY:
        return ServiceError(doing, got=f"{error.status}: {reason}", remedy="Check the state of the API server.")
    # 0: its certificate is not trusted.
    denied = error.status in (0, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
    remedy = "Correct the connection, or the permissions of its user." if denied else ""
    return DeploymentError(doing, got=f"{error.status}: {reason}" if error.status else reason, remedy=remedy)


def _reason(error: Any) -> str:
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


def _last_reason(error: Exception) -> str:
    """The last reason in a message of urllib3, which lists the whole chain."""
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
        return Reply(0, _last_reason(error).encode())
    return Reply(answer.status, answer.data)
