from __future__ import annotations

from collections.abc import Iterable

import psutil

from sailplane.home import Home
from sailplane.services.orphans import marked


def pss_megabytes(home: Home) -> float:
    """Returns the memory of all processes of this home, with each shared page counted once."""
    return total(marked(home))


def total(processes: Iterable[psutil.Process]) -> float:
    return sum(process.memory_full_info().pss for process in processes) / 1e6
