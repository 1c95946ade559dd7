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
from sailplane.algorithmia.client.wire import above, document, path_of, uri_of
from sailplane.errors import ConflictError, StorageError
from sailplane.storage.backend import CHUNK_BYTES, Content, ObjectInfo
from sailplane.storage.retries import Attempts

_TOLD: Final = ("ETag", "Content-Length", "Last-Modified")


class RemoteFiles:
    """`place` is a path without `data://`, unescaped. Reading methods raise FileNotFoundError."""

    def __init__(self, http: Exchange, directories: Directories) -> None:
        self._http = http
        self._directories = directories

    def get(self, place: str) -> bytes:
        return b"".join(self.stream(place))

    def stream(self, place: str) -> Iterator[bytes]:
        """The content of one version, in pieces of CHUNK_BYTES. Resumes after an interruption if the server has ETags;
        ConflictError if the file has been replaced or deleted since."""
        version, given, attempts = "", 0, Attempts(self._http.patience)
        while True:
            with closing(self._version(place, version, given, attempts)) as answer:
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
                    failure = self._http.broken(f"get {uri_of(place)}", error)
                    if given and not version:
                        raise failure from error
                    attempts.failed(failure)

    def put(self, place: str, content: Content, condition: Mapping[str, str] | None = None) -> str:
        """Creates or replaces the file and returns its new etag. It becomes visible only when complete.
        FileNotFoundError for a missing directory. See `send` for `condition`."""
        with sendable(content) as body:
            return self.send(place, body, condition)

    def send(self, place: str, body: Body, condition: Mapping[str, str] | None = None) -> str:
        """`put` under a `condition`, headers such as `If-Match`; ConflictError if the condition fails.

        If a response is lost, and the retry finds that the condition fails, the file's content shows whether the first
        request had succeeded.
        """
        what, attempts = f"put {uri_of(place)}", Attempts(self._http.patience)
        try:
            answer = self._http.call(what, "PUT", path_of(place), attempts, body=body, headers=condition or {})
        except ConflictError:
            if not attempts.failures or not self._holds(place, body):
                raise
            return self.head(place).etag
        document(what, answer)
        return str(answer.headers.get("ETag") or self.head(place).etag)

    def head(self, place: str) -> ObjectInfo:
        """`etag` is made from date and size if the server has none."""
        headers = self._http.call(f"look at {uri_of(place)}", "HEAD", path_of(place), kind="file").headers
        if not all(name in headers for name in _TOLD):
            return self._listed(place)
        modified = parsedate_to_datetime(headers["Last-Modified"])
        return ObjectInfo(path=place, size=int(headers["Content-Length"]), modified=modified, etag=headers["ETag"])

    def delete(self, place: str) -> None:
        what = f"delete {uri_of(place)}"
        document(what, self._http.call(what, "DELETE", path_of(place)))

    def _listed(self, place: str) -> ObjectInfo:
        for found in self._directories.list(above(place)).entries:
            if found.path == place:
                return found
        raise FileNotFoundError(uri_of(place))

    def _holds(self, place: str, body: Body) -> bool:
        try:
            return self.head(place).size == body.size and _digest(self.stream(place)) == _digest(body.pieces())
        except FileNotFoundError:
            return False

    def _version(self, place: str, version: str, given: int, attempts: Attempts) -> httpx.Response:
        """The response for a file, at `version` if it is known: the whole file, or the rest after `given` bytes."""
        wanted = {"Range": f"bytes={given}-", "If-Range": version} if given else {}
        try:
            answer = self._http.open(
                f"get {uri_of(place)}", "GET", path_of(place), attempts, kind="file", headers=wanted
            )
        except FileNotFoundError as error:
            if not given:
                raise
            raise _changed(place) from error
        if wrong := _wrong(place, version, given, answer):
            answer.close()
            raise wrong
        return answer


def _wrong(place: str, version: str, given: int, answer: httpx.Response) -> Exception | None:
    headers = answer.headers
    if given and headers.get("ETag") != version:
        return _changed(place)
    part = answer.status_code == httpx.codes.PARTIAL_CONTENT
    if part and not headers.get("Content-Range", "").startswith(f"bytes {given}-"):
        return StorageError("get", uri_of(place), got="another part of it", expected=f"the part after {given} bytes")
    if "Content-Length" not in headers and "Transfer-Encoding" not in headers:
        return StorageError("get", uri_of(place), got="a response without a length", expected="a length")
    return None


def _changed(place: str) -> ConflictError:
    return ConflictError("get", uri_of(place), got="it has changed meanwhile", remedy="Read it again.")


def _digest(pieces: Iterable[bytes]) -> bytes:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.digest()
