"""Rows for a `transform` that may lack some inputs. They record which inputs it reads, and raise for a missing one. As
in training, they list the names of all inputs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sailplane.errors import RequestError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


class Reads:
    """`names` are all inputs in order, `absent` the missing ones."""

    def __init__(self, names: Collection[str], absent: Collection[str] = ()) -> None:
        self.names, self._absent = dict.fromkeys(names), frozenset(absent)
        self.read: set[str] = set()

    def note(self, *names: str) -> None:
        """Raises RequestError for an absent input."""
        self.read.update(names)
        if not self._absent.isdisjoint(names):
            self.check()

    def check(self) -> None:
        """Raises RequestError if an absent input was read; also called after `transform`, which may catch it."""
        if missing := [name for name in self.names if name in self.read and name in self._absent]:
            got, remedy = "it is missing, and the features of such rows need it", "Send it."
            raise RequestError("read field", repr(missing[0]), got=got, remedy=remedy)


class GuardedColumns(Mapping[str, "NDArray[Any]"]):
    """Replaces the arrays by field."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]], reads: Reads) -> None:
        self._arrays, self.reads = arrays, reads

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self.reads.names:
            raise KeyError(name)
        self.reads.note(name)
        return self._arrays[name]

    def __contains__(self, name: object) -> bool:
        return name in self.reads.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.reads.names)

    def __len__(self) -> int:
        return len(self.reads.names)


class GuardedFrame:
    """Replaces the frame. Any use other than columns by name counts as reading all columns."""

    def __init__(self, frame: pd.DataFrame, reads: Reads) -> None:
        self._frame, self.reads = frame, reads

    def __getitem__(self, key: Any) -> Any:
        by_name = isinstance(key, list) and all(isinstance(name, str) for name in key)
        wanted = key if by_name else [key] if isinstance(key, str) else list(self.reads.names)
        self.reads.note(*(name for name in wanted if name in self.reads.names))
        return self._frame[key]

    def __getattr__(self, name: str) -> Any:
        self.reads.note(*([name] if name in self.reads.names else self.reads.names))
        return getattr(self._frame, name)

    def __contains__(self, name: object) -> bool:
        return name in self.reads.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.reads.names)

    def __len__(self) -> int:
        return len(self._frame)

    @property
    def index(self) -> Any:
        return self._frame.index

    @property
    def shape(self) -> tuple[int, int]:
        return len(self._frame), len(self.reads.names)

    @property
    def columns(self) -> Any:
        import pandas as pd

        return pd.Index(list(self.reads.names))


def guarded(rows: Any, reads: Reads) -> GuardedColumns | GuardedFrame:
    """`rows` are arrays by field or a frame."""
    return GuardedColumns(rows, reads) if isinstance(rows, Mapping) else GuardedFrame(rows, reads)


def read_by(
    transform: Callable[[Any, Mapping[str, Any]], object], rows: Any, state: Mapping[str, Any], names: Collection[str]
) -> frozenset[str]:
    """The inputs whose values `transform` reads for these rows; all inputs if it cannot work on guarded rows."""
    reads = Reads(names)
    try:
        transform(guarded(rows, reads), state)
    except Exception:  # for example, pandas' own functions only take frames
        return frozenset(names)
    return frozenset(reads.read)
