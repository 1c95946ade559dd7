"""A model server's log of requests and answers. It never slows a request: entries that do not fit into the queue or on
the disk are dropped and counted by reason."""

from __future__ import annotations

import errno
import json
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sailplane.bundles.bundle import Bundle
from sailplane.errors import StorageError
from sailplane.serving.open_inference.binary import LENGTH as JSON_LENGTH
from sailplane.serving.request_id import SHADOW
from sailplane.serving.spool import LOST, LogEntry, SpoolLimits, Writer

if TYPE_CHECKING:
    import numpy as np

# A killed server loses the entries of this period.
FLUSH_SECONDS: Final = 0.25
MOST_WAITING: Final = 20_000
MOST_WAITING_BYTES: Final = 16 * 2**20
MOST_BYTES: Final = 4 * 2**20
# Entries per write: few enough that the server keeps answering.
_TOGETHER: Final = 128
_SHADOW: Final = SHADOW.encode()
_ROOM: Final = {errno.ENOSPC: "disk", errno.EFBIG: "disk", errno.EDQUOT: "space"}
Headers = Mapping[bytes, bytes]
Waiting = tuple[int, float, float, int, int, Headers, str, "bytes | bytearray", "bytes | np.ndarray"]

_log = logging.getLogger(__name__)


class RequestLog:
    """Calls `dropped` with the reason and the number of lost entries. Reasons: the queue was full, the entry too large,
    the disk full, the log's space limit reached, or a disk error."""

    def __init__(
        self, folder: Path, bundle: Bundle, dropped: Callable[[str, int], None], limits: SpoolLimits | None = None
    ) -> None:
        manifest = bundle.manifest
        inputs = [field.content() for field in manifest.inputs]
        head = {"model": manifest.model, "version": bundle.version, "inputs": inputs, "outputs": manifest.outputs}
        self._writer, self._dropped = Writer(folder, head, limits), dropped
        self._queue: deque[Waiting] = deque()
        # Each of these is written by only one thread.
        self._added = self._taken = 0
        # The dropped entries, and those that the files already mention.
        self._lost: Counter[str] = Counter()
        self._noted: Counter[str] = Counter()
        self._wake, self._ended, self._well = threading.Event(), False, True
        self._thread = threading.Thread(target=self._run, name="request-log", daemon=True)
        self._thread.start()

    def add(
        self,
        kind: int,
        identity: str,
        status: int,
        seconds: float,
        body: bytes | bytearray,
        content: bytes | np.ndarray,
        headers: Headers,
    ) -> None:
        """Called from the event loop after the answer. `content`: the scores, or the answer's body."""
        size = len(body) + (len(content) if isinstance(content, bytes) else content.nbytes)
        waiting = self._added - self._taken + size
        if size > MOST_BYTES:
            self._drop("size", 1)
        elif len(self._queue) >= MOST_WAITING or waiting > MOST_WAITING_BYTES:
            self._drop("queue", 1)
        else:
            self._added += size
            self._queue.append((size, time.time(), seconds, status, kind, headers, identity, body, content))
            if waiting > MOST_WAITING_BYTES // 4:
                self._wake.set()

    def close(self) -> None:
        """Writes the waiting entries and stops."""
        self._ended = True
        self._wake.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._ended:
            self._wake.wait(FLUSH_SECONDS)
            self._wake.clear()
            while self._queue:
                self._flush()
            self._writer.rotate()
        while self._queue:
            self._flush()
        if self._lost != self._noted:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        waiting = [self._queue.popleft() for _ in range(min(len(self._queue), _TOGETHER))]
        lost = self._lost.copy()
        try:
            entries = [_entry(*item) for item in waiting]
            self._writer.write([_note(lost - self._noted), *entries] if lost != self._noted else entries)
        except Exception as error:
            self._drop(_reason(error), len(waiting))
            self._report(error)
        else:
            self._noted = lost
            self._report(None)
        self._taken += sum(size for size, *_ in waiting)

    def _drop(self, reason: str, count: int) -> None:
        if count:
            self._lost[reason] += count
            self._dropped(reason, count)

    def _report(self, error: Exception | None) -> None:
        if self._well and error is not None:
            _log.warning("Requests are answered but not logged: %s", error)
        elif not self._well and error is None:
            _log.warning("Requests are logged again")
        self._well = error is None


def _entry(
    _size: int,
    moment: float,
    seconds: float,
    status: int,
    kind: int,
    headers: Headers,
    identity: str,
    body: bytes | bytearray,
    content: bytes | np.ndarray,
) -> LogEntry:
    data = content if isinstance(content, bytes) else content.tobytes()
    length = headers.get(JSON_LENGTH, b"")
    json_bytes = int(length) if length.isdigit() and len(length) < 10 else -1
    return LogEntry(
        moment - seconds, seconds, status, kind, is_shadow(headers), identity, bytes(body), data, json_bytes
    )


def is_shadow(headers: Headers) -> bool:
    return _SHADOW in headers


def _note(lost: Counter[str]) -> LogEntry:
    return LogEntry(time.time(), 0.0, 0, LOST, False, "", b"", json.dumps(lost).encode())


def _reason(error: Exception) -> str:
    if isinstance(error, StorageError):
        return "disk"
    return _ROOM.get(error.errno or 0, "fault") if isinstance(error, OSError) else "fault"
