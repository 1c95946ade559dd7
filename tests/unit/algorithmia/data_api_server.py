"""A Data API on loopback that can fail on request. Its files are files of a folder, so it holds none in memory. With
`modern` it supports ETags, conditions and ranges, as the twin does; otherwise it is like the hosted service."""

from __future__ import annotations

import json
import shutil
import socket
import struct
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

KEY = "sim0123456789SECRET"
PAGE = 3
USER = "ada"


@dataclass
class DataApiServer:
    """The server. The next requests meet the `faults` of their method, in order; `asked` has every request."""

    folder: Path
    modern: bool = True
    faults: list[tuple[str, Callable[[Handler], None]]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    acls: dict[str, list[str]] = field(default_factory=dict)
    turn: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        (self.folder / USER).mkdir(parents=True)
        handler = type("Handler", (Handler,), {"api": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), name="data-api-server")
        self._thread.start()

    def stop(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def fail(self, method: str, *faults: Callable[[Handler], None]) -> None:
        self.faults += [(method, fault) for fault in faults]

    def tries(self, method: str) -> int:
        return sum(asked == method for asked, _ in self.asked)


class Handler(BaseHTTPRequestHandler):
    api: DataApiServer
    protocol_version = "HTTP/1.1"
    cut_after: int | None = None
    without_length = False

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def do_GET(self) -> None:
        self.api.asked.append((self.command, self.path))
        faults = [fault for fault in self.api.faults if fault[0] == self.command]
        if faults:
            self.api.faults.remove(faults[0])
            faults[0][1](self)
        else:
            self.serve()

    do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = do_GET

    def serve(self) -> None:
        if self.headers["Authorization"] != f"Simple {KEY}":
            self.close_connection = True
            self.answer(401, {"error": {"message": f"no such key: {self.headers['Authorization']}"}})
            return
        parts = urlsplit(self.path)
        self.place = unquote(parts.path.removeprefix("/v1/data/"))
        self.place = self.place.replace(".my", USER, 1) if self.place.startswith(".my") else self.place
        self.query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.target = self.api.folder / self.place
        getattr(self, f"_{self.command.lower()}")()

    def answer(self, status: int, said: Any = None, **headers: str) -> None:
        body = b"" if said is None else json.dumps(said).encode()
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body if self.command != "HEAD" else b"")

    def cut(self) -> None:
        """Cuts the connection, which resets it for the peer."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.connection.close()
        raise ConnectionResetError

    def body(self) -> Iterator[bytes]:
        left = int(self.headers["Content-Length"] or 0)
        while left:
            piece = self.rfile.read1(min(left, 2**20))
            if not piece:
                raise ConnectionResetError
            left -= len(piece)
            yield piece

    def _put(self) -> None:
        draft = self.api.folder / f".{uuid.uuid4()}"
        digest = sha256()
        with draft.open("wb") as file:
            for piece in self.body():
                file.write(piece)
                digest.update(piece)
        with self.api.turn:
            if not self.target.parent.is_dir():
                self.answer(404, {"error": {"message": "collection not found"}})
            elif self._refused():
                self.answer(412, {"error": {"message": "condition"}})
            else:
                draft.rename(self.target)
                self.answer(200, {"result": f"data://{self.place}"}, **self._told(etag_only=True))
        draft.unlink(missing_ok=True)

    def _refused(self) -> bool:
        if not self.api.modern:
            return False
        if self.headers["If-None-Match"] == "*":
            return self.target.exists()
        wanted = self.headers["If-Match"]
        return wanted is not None and (not self.target.exists() or etag(self.target) != wanted)

    def _get(self) -> None:
        if self.target.is_dir():
            self.answer(200, self._listing(), X_Data_Type="directory")
        elif self.target.is_file():
            self._file()
        else:
            self.answer(404, {"error": {"message": "not found"}})

    def _head(self) -> None:
        if self.target.is_file():
            self.answer(200, X_Data_Type="file", **self._told())
        else:
            self.answer(200 if self.target.is_dir() else 404, X_Data_Type="directory")

    def _file(self) -> None:
        size, start, told = self.target.stat().st_size, 0, self._told()
        if self.api.modern and self.headers["Range"] and self.headers["If-Range"] == etag(self.target):
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            told["Content_Range"] = f"bytes {start}-{size - 1}/{size}"
        told["Content_Length"] = str(size - start)
        if self.without_length:
            del told["Content_Length"]
        self.send_response(206 if start else 200)
        for name, value in {**told, "X_Data_Type": "file"}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        with self.target.open("rb") as file:
            file.seek(start)
            left = size if self.cut_after is None else self.cut_after
            while left and (piece := file.read(min(left, 2**20))):
                left -= len(piece)
                self.wfile.write(piece)
        if self.cut_after is not None or self.without_length:
            self.close_connection = True

    def _told(self, etag_only: bool = False) -> dict[str, str]:
        if not self.api.modern:
            return {}
        if etag_only:
            return {"ETag": etag(self.target)}
        size, modified = self.target.stat().st_size, formatdate(self.target.stat().st_mtime, usegmt=True)
        return {"Content_Length": str(size), "Last_Modified": modified, "ETag": etag(self.target)}

    def _listing(self) -> dict[str, Any]:
        names = sorted(path.name for path in self.target.iterdir())
        start = int(self.query.get("marker", 0))
        page = [self.target / name for name in names[start : start + PAGE]]
        folders = [{"name": path.name} for path in page if path.is_dir()]
        said: dict[str, Any] = {"folders": folders} if folders else {}
        said |= {"files": files} if (files := [self._entry(path) for path in page if path.is_file()]) else {}
        said |= {"marker": str(start + PAGE)} if start + PAGE < len(names) else {}
        return said | ({"acl": {"read": self.api.acls.get(self.place, [])}} if "acl" in self.query else {})

    def _entry(self, path: Path) -> dict[str, Any]:
        modified = datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {"filename": path.name, "size": path.stat().st_size, "last_modified": modified}

    def _post(self) -> None:
        said = json.loads(b"".join(self.body()))
        made = self.target / said["name"]
        if not self.target.is_dir():
            self.answer(404, {"error": {"message": "not found"}})
        elif made.exists():
            self.answer(400, {"error": {"message": "already exists"}})
        else:
            made.mkdir()
            self.api.acls[f"{self.place}/{said['name']}"] = said.get("acl", {}).get("read", ["algo://.my/*"])
            self.answer(200, {"result": "created"})

    def _patch(self) -> None:
        self.api.acls[self.place] = json.loads(b"".join(self.body()))["acl"]["read"]
        self.answer(200, {"result": "ok"})

    def _delete(self) -> None:
        if self.target.is_file():
            self.target.unlink()
            self.answer(200, {"result": {"deleted": 1}})
        elif not self.target.is_dir():
            self.answer(404, {"error": {"message": "not found"}})
        else:
            self._delete_directory()

    def _delete_directory(self) -> None:
        inside = sum(path.is_file() for path in self.target.rglob("*"))
        if any(self.target.iterdir()) and "force" not in self.query:
            self.answer(400, {"error": {"message": "not empty"}})
        else:
            shutil.rmtree(self.target)
            self.answer(200, {"result": {"deleted": inside}})

    def log_message(self, format: str, *args: Any) -> None:
        """Logs nothing: the client's output is the test's."""


def etag(path: Path) -> str:
    return f'"{path.stat().st_ino:x}-{path.stat().st_mtime_ns:x}"'


@contextmanager
def data_api_server(folder: Path, *, modern: bool = True) -> Iterator[DataApiServer]:
    server = DataApiServer(folder, modern)
    try:
        yield server
    finally:
        server.stop()
