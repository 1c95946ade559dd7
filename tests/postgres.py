"""A separate PostgreSQL on a free port, from the distribution's package."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from sailplane.deployment.http_client import wait_until
from tests.ports import free_port
from tests.programs import find


class PostgreSQL:
    """The server. If this process runs as root, the server has another user, because it refuses to run as root."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self._process: subprocess.Popen[bytes] | None = None
        self._user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        self._data = folder / "data"
        shutil.chown(folder, self._user)
        self._call("initdb", "-D", str(self._data), "-U", "sailplane", "--auth=trust", "--no-sync")

    def start(self) -> None:
        settings = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": str(self.folder)}
        # The kernel keeps the writes of a killed process, and syncing all files at each start takes seconds.
        settings["fsync"] = "off"
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            command = [find_program("postgres"), "-D", str(self._data), *options]
            self._process = subprocess.Popen(command, user=self._user, cwd=self.folder, stdout=log, stderr=log)
        assert wait_until(self._answers, seconds=60), (self.folder / "log").read_text()

    def kill(self) -> None:
        """Kills all processes, as a power failure does."""
        assert self._process
        head = (self._data / "postmaster.pid").read_text().split()[0]
        children = subprocess.run(["pgrep", "-P", head], capture_output=True, text=True).stdout.split()
        for pid in (head, *children):
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait()

    def stop(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(60)

    def database(self) -> str:
        """Creates a database. Returns its URL."""
        name = f"ledger_{uuid.uuid4().hex[:12]}"
        with self._admin().connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        return f"postgresql://sailplane@127.0.0.1:{self.port}/{name}"

    def _answers(self) -> bool:
        try:
            with self._admin().connect():
                return True
        except sa.exc.OperationalError:
            return False

    def _admin(self) -> sa.Engine:
        url = f"postgresql+psycopg2://sailplane@127.0.0.1:{self.port}/postgres"
        return sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")

    def _call(self, program: str, *arguments: str) -> None:
        command = [find_program(program), *arguments]
        ended = subprocess.run(command, user=self._user, cwd=self.folder, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr


def find_program(name: str) -> str:
    found = find("postgresql")
    assert found
    return str(Path(found).with_name(name))


@contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    # Not below pytest's own folder, which the server's user may not enter.
    folder = Path(tempfile.mkdtemp(prefix="sailplane-postgresql-"))
    server = PostgreSQL(folder, free_port())
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)
