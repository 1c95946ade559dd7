"""`sailplane run SERVICE`: the command that a supervisor or a container starts. It becomes the service by exec, so
signals and exit codes are the service's own. It waits for the services that it needs, also after a restart."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from sailplane import origins
from sailplane.errors import ConfigurationError, ServiceError
from sailplane.files import replace_file
from sailplane.home import Home
from sailplane.services import daily, log_exporter, object_store, orphans
from sailplane.services.accounts import EVERYBODY
from sailplane.services.environment import AIRFLOW, environment, prepare

# supervisord with the router and the model servers, for a separate container.
SERVING = "serving"
# Mostly idle, so each runs as a single file that imports only the standard library. Its argument is a path.
SCRIPTS: dict[str, tuple[str, Callable[[Home], Path]]] = {
    log_exporter.NAME: (log_exporter.__file__, lambda home: home.requests),
    daily.NAME: (daily.__file__, lambda home: home.daily),
}
API_SECONDS = 180
_BACK_SECONDS = 10


def run(service: str, home: Home, env: Mapping[str, str] = os.environ) -> None:
    """The process becomes the service; only the serving service returns, after SIGTERM. ServiceError if a service that
    it waits for does not start."""
    if service not in (*AIRFLOW, SERVING, object_store.NAME, *SCRIPTS):
        names = ", ".join((*AIRFLOW, SERVING, object_store.NAME, *SCRIPTS))
        raise ConfigurationError("run service", service, got="no such service", expected=f"one of {names}")
    prepare(home)
    if service == "api-server":
        _require_login(environment(home, env))
    if service == SERVING:
        serve(home)
        return
    if service == object_store.NAME:
        object_store.run(home)
    if service in SCRIPTS:
        script, path = SCRIPTS[service]
        command = [sys.executable, "-I", "-S", script, str(path(home))]
        os.execve(sys.executable, command, {**environment(home, env), orphans.MARK: service})  # noqa: S606
    orphans.kill_orphans(home, service)
    orphans.record(home, service)
    settings = {**environment(home, env), orphans.MARK: service}
    if service == "api-server":
        _migrate(home, settings)
    else:
        _wait_for_api(settings)
    os.chdir(home.project)
    os.execve(sys.executable, [*_airflow(), *AIRFLOW[service]], settings)  # noqa: S606


def airflow(home: Home, arguments: Sequence[str], env: Mapping[str, str] = os.environ) -> None:
    """The process becomes Airflow's own command, with the database and the settings of the services."""
    command, settings = airflow_command(home, arguments, env)
    os.execve(sys.executable, command, settings)  # noqa: S606


def airflow_command(
    home: Home, arguments: Sequence[str], env: Mapping[str, str] = os.environ
) -> tuple[list[str], dict[str, str]]:
    """Airflow's own command, and its environment."""
    prepare(home)
    # A closed pipe, as with `| head`, must not print a traceback.
    command = (sys.executable, "-P", "-m", "sailplane.services.closed_output", "airflow")
    return [*command, *arguments], environment(home, env)


def become_airflow_module(
    home: Home, module: str, arguments: Sequence[str], env: Mapping[str, str] = os.environ
) -> NoReturn:
    """The process becomes the module, with Airflow's settings and access to Airflow's connections."""
    prepare(home)
    sys.stdout.flush()
    # Without the first setting, Airflow does not find connections in its database. The second keeps Airflow's log out
    # of the command's output.
    own = {"_AIRFLOW_PROCESS_CONTEXT": "server", "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}
    settings = {**environment(home, env), **own}
    os.execve(sys.executable, [sys.executable, "-P", "-m", module, *arguments], settings)  # noqa: S606


def serve(home: Home) -> None:
    """Boots the services of `up` except Airflow, and waits for SIGTERM or the end of supervisord."""
    from sailplane.deployment.http_client import wait_until
    from sailplane.deployment.local.endpoint import renew
    from sailplane.deployment.token import take_token
    from sailplane.services.programs import serving
    from sailplane.supervisor import Supervisor

    os.environ.update({"SAILPLANE_HOME": str(home.root), orphans.MARK: SERVING})
    supervisor, stop = Supervisor(home), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    take_token(home)
    for program in serving(home):
        supervisor.put(program)
    renew(home)
    supervisor.boot()
    # Its watchdog restarts it.
    while not stop.wait(1) and wait_until(supervisor.running, seconds=_BACK_SECONDS):
        pass
    supervisor.shutdown()


def _require_login(settings: Mapping[str, str]) -> None:
    """ConfigurationError for a UI without a login that other machines can reach: all of their users would be admins."""
    host = settings.get("AIRFLOW__API__HOST", "")
    if settings[EVERYBODY].lower() == "true" and host not in origins.LOCAL:
        expected, remedy = " or ".join(origins.LOCAL), "Remove SAILPLANE_LOGIN=off, or listen on 127.0.0.1."
        raise ConfigurationError("run the UI without a login on", host, expected=expected, remedy=remedy)


def _airflow() -> tuple[str, ...]:
    # -P: a file in the project's top folder must not shadow a module.
    return (sys.executable, "-P", "-m", "airflow")


def migration_is_due(home: Home) -> bool:
    """Whether another version of Airflow last migrated the local database."""
    stamp = home.airflow / "migrated"
    there = (home.airflow / "airflow.db").exists() and stamp.exists()
    return not there or stamp.read_text() != version("apache-airflow")


def _migrate(home: Home, env: Mapping[str, str]) -> None:
    database = home.airflow / "airflow.db"
    stamp, wanted = home.airflow / "migrated", version("apache-airflow")
    local = env.get("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN") == f"sqlite:///{database}"
    if local and not migration_is_due(home):
        return
    settings = home.airflow / "airflow.cfg"
    written = settings.exists()
    ended = subprocess.run([*_airflow(), "db", "migrate"], env=env)
    if ended.returncode:
        # Airflow writes its settings file at its first start. A failed start may leave an unreadable file.
        if not written:
            settings.unlink(missing_ok=True)
        got = f"`airflow db migrate` ended with exit code {ended.returncode}"
        raise ServiceError("prepare", "Airflow's database", got=got, remedy="Its output is above.")
    if local:
        replace_file(stamp, wanted)


def _wait_for_api(env: Mapping[str, str]) -> None:
    """Waits for the api-server: tasks that start before it answers fail, including their retries."""
    from sailplane.deployment.http_client import call, wait_until

    execution = urlsplit(env["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"])
    server, path = f"{execution.scheme}://{execution.netloc}", "/api/v2/monitor/health"
    if not wait_until(lambda: call(server, "GET", path).status == 200, seconds=API_SECONDS, every=0.1):
        got = f"no answer in {API_SECONDS} s"
        raise ServiceError("wait for", server + path, got=got, remedy="See logs/api-server.log.")
