from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk import BaseHook

from sailplane.errors import ConfigurationError, SailplaneError

if TYPE_CHECKING:
    from kubernetes.client import ApiClient, Configuration

    from sailplane.deployment.kubernetes.cluster import Cluster

# The fields of the connection in Airflow's own Kubernetes provider. Its other fields are ignored.
CONFIG_SOURCES: Final = ("in_cluster", "kube_config_path", "kube_config")
EXTRAS: Final = (*CONFIG_SOURCES, "cluster_context", "namespace", "disable_verify_ssl")

_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_TEST_SECONDS: Final = 5


class KubernetesHook(BaseHook):
    """A cluster, reached with a connection of type `kubernetes`: from inside, with a kubeconfig file, or with a
    kubeconfig in the connection. Without any of these: from inside if in a pod, else with `KUBECONFIG` or
    `~/.kube/config`.

    :param kubernetes_conn_id: the connection
    """

    conn_name_attr = "kubernetes_conn_id"
    default_conn_name = "kubernetes_default"
    conn_type = "kubernetes"
    hook_name = "Kubernetes Cluster Connection"

    def __init__(self, kubernetes_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kubernetes_conn_id = kubernetes_conn_id

    def get_conn(self) -> ApiClient:
        """The API client. Raises ConfigurationError for an unreadable kubeconfig."""
        return self._client(self._extras())

    def cluster(self, namespace: str | None = None, *, patience: float = 30) -> Cluster:
        """The cluster, in `namespace`, else in the namespace of the connection, of the kubeconfig's context, or
        `default`."""
        from sailplane.deployment.kubernetes.cluster import Cluster

        extras = self._extras()
        client = self._client(extras)
        chosen = namespace or extras["namespace"] or self._namespace(extras)
        return Cluster(client, chosen, patience=patience, connection=self.kubernetes_conn_id)

    def test_connection(self) -> tuple[bool, str]:
        from sailplane.deployment.kubernetes.cluster import MODEL, SELDON_DEPLOYMENT

        reason = ""
        for kind in (SELDON_DEPLOYMENT, MODEL):
            try:
                cluster = self.cluster(patience=_TEST_SECONDS)
                cluster.list(kind, "")
            except SailplaneError as error:
                reason = reason or str(error)
            else:
                return True, f"{kind.package.rpartition('.')[0]} responds in namespace {cluster.namespace}."
        return False, reason

    def _extras(self) -> dict[str, Any]:
        given = self.get_connection(self.kubernetes_conn_id).extra_dejson
        # Older versions of the provider stored fields with this prefix.
        found = {name: given.get(name, given.get(f"extra__kubernetes__{name}")) for name in EXTRAS}
        sources = [name for name in CONFIG_SOURCES if found[name]]
        if len(sources) > 1:
            expected = f"one of {', '.join(CONFIG_SOURCES)}"
            raise ConfigurationError(
                "use connection", self.kubernetes_conn_id, got=" and ".join(sources), expected=expected
            )
        return found

    def _client(self, extras: Mapping[str, Any]) -> ApiClient:
        from kubernetes import client, config

        configuration = client.Configuration()
        # Without this, urllib3 tries four times before it reports a missing server.
        configuration.retries = False
        try:
            self._load(extras, configuration)
        except (config.ConfigException, OSError, ValueError, TypeError, AttributeError) as error:
            got = "not a kubeconfig" if isinstance(error, json.JSONDecodeError) else error
            expected = f"a kubeconfig {extras['kube_config_path'] or ''}".strip()
            raise ConfigurationError("use connection", self.kubernetes_conn_id, got=got, expected=expected) from error
        configuration.verify_ssl = not extras["disable_verify_ssl"] and configuration.verify_ssl
        return client.ApiClient(configuration)

    def _load(self, extras: Mapping[str, Any], configuration: Configuration) -> None:
        from kubernetes import config

        options: dict[str, Any] = {"context": extras["cluster_context"] or None, "client_configuration": configuration}
        if extras["in_cluster"]:
            config.load_incluster_config(client_configuration=configuration)
        elif extras["kube_config_path"]:
            config.load_kube_config(extras["kube_config_path"], persist_config=False, **options)
        elif extras["kube_config"]:
            config.load_kube_config_from_dict(_read(extras["kube_config"]), persist_config=False, **options)
        else:
            _load_default(configuration, options)

    def _namespace(self, extras: Mapping[str, Any]) -> str:
        from kubernetes.config import ConfigException, list_kube_config_contexts

        if extras["kube_config"]:
            known = _read(extras["kube_config"])
            contexts, current = known.get("contexts", []), known.get("current-context")
        else:
            try:
                contexts, active = list_kube_config_contexts(extras["kube_config_path"] or None)
                current = active["name"]
            except ConfigException:  # inside a pod
                return _NAMESPACE.read_text().strip() if _NAMESPACE.exists() else "default"
        wanted = extras["cluster_context"] or current
        named = (context["context"].get("namespace") for context in contexts if context["name"] == wanted)
        return next(named, None) or "default"


def _load_default(configuration: Configuration, options: Mapping[str, Any]) -> None:
    from kubernetes import config

    try:
        config.load_incluster_config(client_configuration=configuration)
    except config.ConfigException:
        config.load_kube_config(persist_config=False, **options)


def _read(kubeconfig: Any) -> dict[str, Any]:
    return dict(kubeconfig if isinstance(kubeconfig, Mapping) else json.loads(kubeconfig))
