"""HTTP and XML-RPC over unix sockets, and their folder."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import xmlrpc.client
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from sailplane.home import Home

# sun_path holds 108 bytes (104 on macOS), and supervisord first binds a name with its pid appended.
_SOCKET_PATH_BYTES = 90


class UnixConnection(HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, timeout: float = 60) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> HTTPConnection:
        # Like the standard library: keeps one connection, for `close`.
        connection = self._connection[1] or UnixConnection(self._path, timeout=600)
        self._connection = host, connection
        return connection


def socket_folder(home: Home) -> Path:
    """The folder of unix sockets: in the home. If the home's path is too long for a socket or has characters that
    supervisord's files cannot hold, it is a private folder named by a digest of that path."""
    path = str(home.supervisor)
    if len(os.fsencode(path)) + len("/supervisor.sock") <= _SOCKET_PATH_BYTES and re.fullmatch(r"[\w/.+@,=:-]+", path):
        return home.supervisor
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    # Not $TMPDIR: every process of this home must find the same folder.
    return Path("/tmp") / f"sailplane-{os.geteuid()}-{digest}"  # noqa: S108
