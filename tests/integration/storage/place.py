"""Where a store is, for this process and for those that it starts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from sailplane.storage.store import Storage


@dataclass(frozen=True)
class Place:
    """`env` is what `Storage(root)` finds its access with. `signs`: it has URLs that open an object for a time.
    `longest`: how many bytes a key may have, with what the root has of it."""

    root: str
    env: Mapping[str, str]
    signs: bool = False
    longest: int = 1024

    def open(self) -> Storage:
        return Storage(self.root)

    def surroundings(self) -> dict[str, str]:
        """The environment of a process that opens it."""
        return {**os.environ, **self.env, "SAILPLANE_TEST_ROOT": self.root}
