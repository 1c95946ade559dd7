"""Users' algorithms in the store: a record each, and the sources of its versions by hash.

An API client can create an algorithm from Algorithmia's template, and compile, publish and call it. Only the operator
can set its code: `sailplane twin algorithmia algorithm OWNER/NAME FILE`.
"""

from __future__ import annotations

import re
from typing import Any, Final

from sailplane.algorithmia.twin import versions
from sailplane.algorithmia.twin.api_keys import checked_name
from sailplane.algorithmia.twin.documents import Document, Documents
from sailplane.algorithmia.twin.refusals import Refusal
from sailplane.errors import ConfigurationError, ConflictError, RequestError
from sailplane.storage.store import Storage

ALGORITHM_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")
MOST_SOURCE_BYTES: Final = 2**20


class Algorithms:
    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._documents = Documents(storage)

    def create(self, owner: str, body: Document) -> Document:
        """Raises ConflictError if the algorithm exists."""
        name, details, settings = body.get("name"), body.get("details") or {}, body.get("settings") or {}
        if not isinstance(name, str) or not isinstance(details, dict) or not isinstance(settings, dict):
            raise RequestError("create algorithm", got=repr(body)[:100], expected="name, details and settings")
        if not self._created(owner, name, details, settings, versions.TEMPLATE):
            raise ConflictError("create algorithm", f"{owner}/{name}", got="it exists")
        return self.record(owner, name)

    def put_source(self, owner: str, name: str, source: str) -> Document:
        """Sets and compiles the source of the next version; creates the algorithm if necessary."""
        if len(source.encode()) > MOST_SOURCE_BYTES:
            raise ConfigurationError(
                "take the source of", f"{owner}/{name}", expected=f"at most {MOST_SOURCE_BYTES} bytes"
            )
        if not self._created(owner, name, {}, {}, source):
            self._keep(owner, name, source)
            self._change(owner, name, lambda found: {**found, "source": versions.digest(source)})
        return self.compile(owner, name)

    def compile(self, owner: str, name: str) -> Document:
        source = self._source(owner, name, self.record(owner, name)["source"])
        return self._change(owner, name, lambda found: versions.compiled(found, source))

    def publish(self, owner: str, name: str, body: Document) -> Document:
        """Compiles the source first if necessary."""
        record = self.record(owner, name)
        if not any(build["commit_sha"] == record["source"] for build in record["builds"]):
            self.compile(owner, name)
        return self._change(owner, name, lambda found: versions.published(found, body))

    def update(self, owner: str, name: str, body: Document) -> Document:
        def updated(found: Document) -> Document:
            return {**found, **{part: {**found[part], **(body.get(part) or {})} for part in ("details", "settings")}}

        return self._change(owner, name, updated)

    def record(self, owner: str, name: str) -> Document:
        """Raises Refusal 404."""
        found = self._documents.find(_path(owner, name)) if _is_name(owner) and _is_name(name) else None
        if found is None:
            raise Refusal(404, "No such algorithm", error_type="NotFoundError")
        return found

    def source(self, record: Document, version: Document) -> str:
        return self._source(record["owner"], record["name"], version["git_hash"])

    def _created(self, owner: str, name: str, details: Document, settings: Document, source: str) -> bool:
        checked_name(owner)
        if not _is_name(name):
            raise ConfigurationError("name an algorithm", repr(name[:100]), expected="1 to 64 letters, digits, _ and -")
        self._keep(owner, name, source)
        record = versions.new(owner, name, details, settings, versions.digest(source))
        return self._documents.create(_path(owner, name), record)

    def _keep(self, owner: str, name: str, source: str) -> None:
        """Stores the source before the record, so that a record only names existing sources."""
        self._storage.put_new(_source_path(owner, name, versions.digest(source)), source.encode())

    def _source(self, owner: str, name: str, git_hash: str) -> str:
        return self._storage.read_text(_source_path(owner, name, git_hash))

    def _change(self, owner: str, name: str, how: Any) -> Document:
        self.record(owner, name)
        return self._documents.change(_path(owner, name), how)


def _is_name(text: str) -> bool:
    return bool(ALGORITHM_NAME.fullmatch(text))


def _path(owner: str, name: str) -> str:
    return f"algorithmia/algorithms/{owner}/{name}/record.json"


def _source_path(owner: str, name: str, git_hash: str) -> str:
    return f"algorithmia/algorithms/{owner}/{name}/sources/{git_hash}.py"
