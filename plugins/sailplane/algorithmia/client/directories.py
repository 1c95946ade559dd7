"""Directories of the Data API. A path starts with a user and a collection; `.my` is the key's owner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sailplane.algorithmia.client.exchange import Exchange
from sailplane.algorithmia.client.wire import above, document, entry, sent_json, uri_of, url_path
from sailplane.errors import AccessError, StorageError
from sailplane.storage.backend import Folder
from sailplane.storage.retries import Attempts


class Directories:
    """`path` is a path without `data://`, unescaped. Reading methods raise FileNotFoundError."""

    def __init__(self, http: Exchange) -> None:
        self._http = http

    def list(self, path: str) -> Folder:
        """The direct content of a directory, which may be empty."""
        found = Folder([], [])
        marker = ""
        while True:
            page = self._page(path, {"marker": marker} if marker else {})
            found.entries.extend(entry(path, item) for item in page.get("files") or ())
            found.folders.extend(item["name"] for item in page.get("folders") or ())
            if not page.get("marker"):
                return found
            marker = page["marker"]

    def exists(self, path: str) -> bool:
        attempts = Attempts(self._http.patience)
        try:
            self._http.open(f"look at {uri_of(path)}", "GET", url_path(path), attempts, kind="directory").close()
        except FileNotFoundError:
            return False
        return True

    def make(self, path: str, acl: Sequence[str] | None = None) -> None:
        """Creates the directory and missing parents. An existing directory is no error and keeps its ACL."""
        if self._make(path, acl) is None:
            return
        if "/" in above(path):
            self.make(above(path))
        if (refusal := self._make(path, acl)) is not None:
            remedy = "Correct the user or the endpoint; `.my` is the owner of the key."
            raise StorageError("make directory", uri_of(path), got=refusal, remedy=remedy) from refusal

    def delete(self, path: str, *, force: bool = False) -> int:
        """Returns the number of deleted files. With `force` the directory may contain files."""
        what = f"delete directory {uri_of(path)}"
        answer = self._http.call(what, "DELETE", url_path(path), params={"force": "true"} if force else {})
        return int((document(what, answer).get("result") or {}).get("deleted", 0))

    def acl(self, path: str) -> Sequence[str]:
        """Its readers besides the owner: [] nobody, `algo://.my/*` the owner's algorithms, `user://*` everybody."""
        return list((self._page(path, {"acl": "true"}).get("acl") or {}).get("read") or ())

    def set_acl(self, path: str, read: Sequence[str]) -> None:
        what = f"set the ACL of {uri_of(path)}"
        document(what, self._http.call(what, "PATCH", url_path(path), **sent_json({"acl": {"read": [*read]}})))

    def _make(self, path: str, acl: Sequence[str] | None) -> Exception | None:
        """Why the directory does not exist now."""
        new = {"name": path.rpartition("/")[2], **({} if acl is None else {"acl": {"read": [*acl]}})}
        what = f"make directory {uri_of(path)}"
        try:
            document(what, self._http.call(what, "POST", url_path(above(path)), **sent_json(new)))
        except AccessError:
            raise
        except (FileNotFoundError, StorageError) as refusal:
            # Servers report an existing directory, or a missing parent, in different ways.
            return None if self.exists(path) else refusal
        return None

    def _page(self, path: str, params: Mapping[str, str]) -> dict[str, Any]:
        what = f"list {uri_of(path)}"
        answer = self._http.call(what, "GET", url_path(path), kind="directory", params=params)
        return document(what, answer)
