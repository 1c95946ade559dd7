"""Files of the Data API of any size, in constant memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from sailplane.algorithmia.client.directories import Directories
from sailplane.algorithmia.client.exchange import Exchange
from sailplane.algorithmia.client.spool import Body, sendable
from sailplane.algorithmia.client.wire import above, document, uri_of, url_path
from sailplane.errors import ConflictError, StorageError
from sailplane.storage.backend import CHUNK_BYTES, Content, ObjectInfo
from sailplane.storage.retries import Attempts

_TOLD: Final = ("ETag", "Content-Length", "Last-Modified")


class RemoteFiles:
    """`path` is a path without `data://`, unescaped. Reading methods raise FileNotFoundError."""

    def __init__(self, http: Exchange, directories: Directories) -> None:
        self._http = http
        self._directories = directories

    def get(self, path: str) -> bytes:
        return b"".join(self.stream(path))

    def stream(self, path: str) -> Iterator[bytes]:
        """The content of one version, in pieces of CHUNK_BYTES. Resumes after an interruption if the server has ETags;
        ConflictError if the file has been replaced or deleted since."""
        version, given, attempts = "", 0, Attempts(self._http.patience)
        while True:
            with closing(self._version(path, version, given, attempts)) as answer:
                version = answer.headers.get("ETag", "")
                known = 0 if answer.status_code == httpx.codes.PARTIAL_CONTENT else given
                try:
                    for piece in answer.iter_raw(CHUNK_BYTES):
                        fresh, known = piece[known:], max(0, known - len(piece))
                        given += len(fresh)
                        if fresh:
                            attempts.progressed()
                            yield fresh
                    return
                except httpx.TransportError as error:
                    failure = self._http.broken(f"get {uri_of(path)}", error)
                    if given and not version:
                        raise failure from error
                    attempts.failed(failure)

    def put(self, path: str, content: Content, condition: Mapping[str, str] | None = None) -> str:
        """Creates or replaces the file and returns its new etag. It becomes visible only when complete.
        FileNotFoundError for a missing directory. See `send` for `condition`."""
        with sendable(content) as body:
            return self.send(path, body, condition)

    def send(self, path: str, body: Body, condition: Mapping[str, str] | None = None) -> str:
        """`put` under a `condition`, headers such as `If-Match`; ConflictError if the condition fails.

        If a response is lost, and the retry finds that the condition fails, the file's content shows whether the first
        request had succeeded.
        """
        what, attempts = f"put {uri_of(path)}", Attempts(self._http.patience)
        try:
            answer = self._http.call(what, "PUT", url_path(path), attempts, body=body, headers=condition or {})
        except ConflictError:
            if not attempts.failures or not self._holds(path, body):
                raise
            return self.head(path).etag
        document(what, answer)
        return str(answer.headers.get("ETag") or self.head(path).etag)

    def head(self, path: str) -> ObjectInfo:
        """`etag` is made from date and size if the server has none."""
        headers = self._http.call(f"look at {uri_of(path)}", "HEAD", url_path(path), kind="file").headers
        if not all(name in headers for name in _TOLD):
            return self._listed(path)
        modified = parsedate_to_datetime(headers["Last-Modified"])
        return ObjectInfo(path=path, size=int(headers["Content-Length"]), modified=modified, etag=headers["ETag"])

    def delete(self, path: str) -> None:
        what = f"delete {uri_of(path)}"
        document(what, self._http.call(what, "DELETE", url_path(path)))

    def _listed(self, path: str) -> ObjectInfo:
        for found in self._directories.list(above(path)).entries:
            if found.path == path:
                return found
        raise FileNotFoundError(uri_of(path))

    def _holds(self, path: str, body: Body) -> bool:
        try:
            return self.head(path).size == body.size and _digest(self.stream(path)) == _digest(body.pieces())
        except FileNotFoundError:
            return False

    def _version(self, path: str, version: str, given: int, attempts: Attempts) -> httpx.Response:
        """The response for a file, at `version` if it is known: the whole file, or the rest after `given` bytes."""
        wanted = {"Range": f"bytes={given}-", "If-Range": version} if given else {}
        try:
            answer = self._http.open(
                f"get {uri_of(path)}", "GET", url_path(path), attempts, kind="file", headers=wanted
            )
        except FileNotFoundError as error:
            if not given:
                raise
            raise _changed(path) from error
        if wrong := _wrong(path, version, given, answer):
            answer.close()
            raise wrong
        return answer


def _wrong(path: str, version: str, given: int, answer: httpx.Response) -> Exception | None:
    headers = answer.headers
    if given and headers.get("ETag") != version:
        return _changed(path)
    part = answer.status_code == httpx.codes.PARTIAL_CONTENT
    if part and not headers.get("Content-Range", "").startswith(f"bytes {given}-"):
        return StorageError("get", uri_of(path), got="another part of it", expected=f"the part after {given} bytes")
    if "Content-Length" not in headers and "Transfer-Encoding" not in headers:
        return StorageError("get", uri_of(path), got="a response without a length", expected="a length")
    return None


def _changed(path: str) -> ConflictError:
    return ConflictError("get", uri_of(path), got="it has changed meanwhile", remedy="Read it again.")


def _digest(pieces: Iterable[bytes]) -> bytes:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.digest()
