"""The location of a store, for this process and for its child processes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from sailplane.storage.store import Storage


@dataclass(frozen=True)
class Place:
    """`env` has the settings with which `Storage(root)` finds its access. `signs`: the store has temporary URLs that
    open an object. `longest` is the most bytes of a key, including those of the root."""

    root: str
    env: Mapping[str, str]
    signs: bool = False
    longest: int = 1024

    def open(self) -> Storage:
        return Storage(self.root)

    def surroundings(self) -> dict[str, str]:
        """Returns the environment of a process that opens the store."""
        return {**os.environ, **self.env, "SAILPLANE_TEST_ROOT": self.root}
