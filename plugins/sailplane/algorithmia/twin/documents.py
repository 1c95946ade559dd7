"""Small JSON objects of the store that several servers can change concurrently without losing changes."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from typing import Any, Final

from sailplane.errors import ConflictError
from sailplane.storage.store import Storage

Document = dict[str, Any]
MOST_ATTEMPTS: Final = 20


class Documents:
    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def find(self, path: str) -> Document | None:
        try:
            return self._storage.read_json(path, dict)
        except FileNotFoundError:
            return None

    def create(self, path: str, document: Document) -> bool:
        """False, without a change, if the document exists."""
        return self._storage.put_new(path, _written(document))

    def change(self, path: str, how: Callable[[Document], Document]) -> Document:
        """`how` maps the old document to the new one, and is called again if another writer was faster; if it raises,
        the old document stays. Raises FileNotFoundError; DataError for a damaged document; ConflictError if others are
        faster each time."""
        for attempt in range(MOST_ATTEMPTS):
            # Read before the content: the etag of a later version would let this one replace it.
            etag = self._storage.head(path).etag
            changed = how(self._storage.read_json(path, dict))
            try:
                self._storage.replace(path, _written(changed), etag)
            except ConflictError:
                time.sleep(random.uniform(0, 0.01 * (attempt + 1)))  # noqa: S311  not a secret
                continue
            return changed
        raise ConflictError("change", path, got=f"others changed it {MOST_ATTEMPTS} times meanwhile")

    def delete(self, path: str) -> None:
        self._storage.delete(path)


def _written(document: Document) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
