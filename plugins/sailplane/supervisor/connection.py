"""HTTP and XML-RPC over a unix socket."""

from __future__ import annotations

import socket
import xmlrpc.client
from http.client import HTTPConnection
from pathlib import Path
from typing import Any


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
