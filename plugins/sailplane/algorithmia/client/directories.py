"""Directories of the Data API. The first two parts of a place are a user and a collection; `.my` is the key's owner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sailplane.algorithmia.client.exchange import Exchange
from sailplane.algorithmia.client.wire import above, document, entry, path_of, sent_json, uri_of
from sailplane.errors import AccessError, StorageError
from sailplane.storage.backend import Folder
from sailplane.storage.retries import Attempts


class Directories:
    """`place` is a path as people write it, without `data://`. Those that read raise FileNotFoundError."""

    def __init__(self, http: Exchange) -> None:
        self._http = http

    def list(self, place: str) -> Folder:
        """What lies right in a directory; also directories that hold nothing."""
        found = Folder([], [])
        marker = ""
        while True:
            page = self._page(place, {"marker": marker} if marker else {})
            found.entries.extend(entry(place, said) for said in page.get("files") or ())
            found.folders.extend(said["name"] for said in page.get("folders") or ())
            if not page.get("marker"):
                return found
            marker = page["marker"]

    def exists(self, place: str) -> bool:
        attempts = Attempts(self._http.patience)
        try:
            self._http.open(f"look at {uri_of(place)}", "GET", path_of(place), attempts, kind="directory").close()
        except FileNotFoundError:
            return False
        return True

    def make(self, place: str, acl: Sequence[str] | None = None) -> None:
        """And those above it that are missing. One that is there is no error, and keeps its ACL."""
        if self._make(place, acl) is None:
            return
        if "/" in above(place):
            self.make(above(place))
        if (refusal := self._make(place, acl)) is not None:
            remedy = "Correct the user or the endpoint; `.my` is the owner of the key."
            raise StorageError("make directory", uri_of(place), got=refusal, remedy=remedy) from refusal

    def delete(self, place: str, *, force: bool = False) -> int:
        """How many files went. With `force` it need not be empty."""
        what = f"delete directory {uri_of(place)}"
        answer = self._http.call(what, "DELETE", path_of(place), params={"force": "true"} if force else {})
        return int((document(what, answer).get("result") or {}).get("deleted", 0))

    def acl(self, place: str) -> Sequence[str]:
        """Who may read it besides its owner: [] nobody, `algo://.my/*` the owner's algorithms, `user://*` everybody."""
        return list((self._page(place, {"acl": "true"}).get("acl") or {}).get("read") or ())

    def set_acl(self, place: str, read: Sequence[str]) -> None:
        what = f"set the ACL of {uri_of(place)}"
        document(what, self._http.call(what, "PATCH", path_of(place), **sent_json({"acl": {"read": [*read]}})))

    def _make(self, place: str, acl: Sequence[str] | None) -> Exception | None:
        """Why it is not there now."""
        new = {"name": place.rpartition("/")[2], **({} if acl is None else {"acl": {"read": [*acl]}})}
        what = f"make directory {uri_of(place)}"
        try:
            document(what, self._http.call(what, "POST", path_of(above(place)), **sent_json(new)))
        except AccessError:
            raise
        except (FileNotFoundError, StorageError) as refusal:
            # Servers differ in how they say that it is there, or that the one above is not.
            return None if self.exists(place) else refusal
        return None

    def _page(self, place: str, params: Mapping[str, str]) -> dict[str, Any]:
        what = f"list {uri_of(place)}"
        answer = self._http.call(what, "GET", path_of(place), kind="directory", params=params)
        return document(what, answer)
