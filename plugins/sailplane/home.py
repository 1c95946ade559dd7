"""The home folder `.sailplane/`, and the settings of the platform."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from dotenv import load_dotenv

from sailplane import origins
from sailplane.errors import ConfigurationError

# A store in this bucket uses the embedded S3, which `up` starts.
EMBEDDED_S3: Final = "sailplane"
# Local servers of hosted APIs, which `up` starts if they are set.
TWINS: Final = ("algorithmia",)


@dataclass(frozen=True, kw_only=True)
class Home:
    """Paths and settings. `project` holds dags/ and include/; `root` holds all state, private to its user."""

    project: Path
    root: Path
    store: str
    ledger: str
    ui_port: int
    router_port: int
    router_host: str = "127.0.0.1"
    s3_port: int = 8333
    twins: tuple[str, ...] = ()
    algorithmia_port: int = 9010
    token: Path | None = None
    logs_requests: bool = True
    login: bool = True
    allowed_hosts: tuple[str, ...] = ()

    @classmethod
    def find(cls, env: Mapping[str, str] = os.environ) -> Self:
        project = _project(env)
        root = Path(env.get("SAILPLANE_HOME") or project / ".sailplane").resolve()
        return cls(
            project=project,
            root=root,
            store=env.get("SAILPLANE_STORE") or (root / "store").as_uri(),
            ledger=env.get("SAILPLANE_LEDGER")
            or _from_file(env, "SAILPLANE_LEDGER_FILE")
            or f"sqlite:///{root / 'ledger.db'}",
            ui_port=_port(env, "SAILPLANE_UI_PORT", 8080),
            router_port=_port(env, "SAILPLANE_ROUTER_PORT", 9000),
            router_host=env.get("SAILPLANE_ROUTER_HOST") or "127.0.0.1",
            s3_port=_port(env, "SAILPLANE_S3_PORT", 8333),
            twins=_twins(env),
            algorithmia_port=_port(env, "SAILPLANE_ALGORITHMIA_PORT", 9010),
            token=project / env["SAILPLANE_TOKEN_FILE"] if env.get("SAILPLANE_TOKEN_FILE") else None,
            logs_requests=_switch(env, "SAILPLANE_REQUEST_LOG"),
            login=_switch(env, "SAILPLANE_LOGIN"),
            allowed_hosts=origins.added(env),
        )

    @property
    def has_s3(self) -> bool:
        """Whether the store uses the embedded S3."""
        return f"{self.store}/".startswith(f"s3://{EMBEDDED_S3}/")

    @property
    def s3(self) -> Path:
        """The keys and the data of the embedded S3."""
        return self.root / "s3"

    @property
    def store_access(self) -> Path:
        """The credentials with which this home's processes reach the embedded S3."""
        return self.s3 / "access.json"

    @property
    def airflow(self) -> Path:
        return self.root / "airflow"

    @property
    def jobs(self) -> Path:
        """One folder for each detached process, with its specification, log and result."""
        return self.root / "jobs"

    @property
    def code(self) -> Path:
        """Copies of the user code that runs use (sailplane.registry.pins): folders beside their archives."""
        return self.root / "code"

    @property
    def serving(self) -> Path:
        """The files that the router and the model servers read: bundles, Envoy's configuration."""
        return self.root / "serving"

    @property
    def requests(self) -> Path:
        """The request log until it is exported to the store."""
        return self.root / "requests"

    @property
    def daily(self) -> Path:
        """When each daily command last ran, and how it ended."""
        return self.root / "daily.json"

    @property
    def logins(self) -> Path:
        """Unused one-time links to the UI."""
        return self.root / "logins"

    @property
    def passwords(self) -> Path:
        """The passwords of the UI's accounts, in Airflow's own format."""
        return self.root / "passwords.json"

    @property
    def supervisor(self) -> Path:
        return self.root / "supervisor"

    @property
    def logs(self) -> Path:
        return self.root / "logs"


def read_settings() -> None:
    """Reads the project's file `.env`; variables that are set already take precedence."""
    load_dotenv(_project(os.environ) / ".env")


def _project(env: Mapping[str, str]) -> Path:
    return Path(env.get("SAILPLANE_PROJECT") or _found()).resolve()


def _found() -> Path:
    here = Path.cwd()
    for folder in (here, *here.parents, *Path(__file__).resolve().parents):
        if (folder / "dags").is_dir() and (folder / "include").is_dir():
            return folder
    raise ConfigurationError(
        "find the project from",
        here,
        got="no folder with dags/ and include/",
        remedy="Change into the project, or set SAILPLANE_PROJECT.",
    )


def _from_file(env: Mapping[str, str], name: str) -> str:
    """The content of the file that the variable names. Containers get secrets as files, because anyone who inspects a
    container sees its environment."""
    return Path(env[name]).read_text().strip() if env.get(name) else ""


def _twins(env: Mapping[str, str]) -> tuple[str, ...]:
    named = tuple(name.strip() for name in env.get("SAILPLANE_TWINS", "").split(",") if name.strip())
    if unknown := [name for name in named if name not in TWINS]:
        raise ConfigurationError("read", "SAILPLANE_TWINS", got=repr(unknown[0]), expected=f"one of {', '.join(TWINS)}")
    return named


def _switch(env: Mapping[str, str], name: str) -> bool:
    value = env.get(name) or "on"
    if value not in ("on", "off"):
        raise ConfigurationError("read", name, got=repr(value), expected="on or off")
    return value == "on"


def _port(env: Mapping[str, str], name: str, default: int) -> int:
    value = env.get(name) or str(default)
    if not value.isdecimal() or not 0 < int(value) < 65536:
        raise ConfigurationError("read", name, got=repr(value), expected="a port from 1 to 65535")
    return int(value)
