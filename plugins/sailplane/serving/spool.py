"""The files of a model server's request log, which the log exporter sends to the store.

A file is a sequence of blocks: 4 letters, the length, a CRC, the content. Broken blocks are skipped. The first block is
the head, in JSON, which suffices to read the other blocks after the version is deleted. The other blocks hold entries
with the bodies as received. The writer of a file holds a lock on it, so an unlocked file is complete, however its
writer ended.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import secrets
import struct
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from sailplane.files import private_folder

SUFFIX: Final = ".spool"
# The suffix of a file that is set aside for inspection.
UNREADABLE: Final = ".unreadable"
# The file in the top folder that says why the last export failed.
FAILURE: Final = "failure.json"
FORMAT: Final = 1
_MAGIC: Final = b"SPL1"
_BLOCK: Final = struct.Struct("<4sII")
_ENTRY: Final = struct.Struct("<ddHBBIIIi")
# The kinds of entries: the protocols, feedback, and the number of entries lost before this one.
SELDON, OPEN_INFERENCE, OPEN_INFERENCE_GRPC, FEEDBACK, LOST, SELDON_GRPC = range(6)

_log = logging.getLogger(__name__)


class LogEntry(NamedTuple):
    """An entry of the log. `content` holds the scores as float32, the answer's body over gRPC, or the reason for an
    error. `json` is the number of bytes of the body that are JSON, -1 for all."""

    time: float
    seconds: float
    status: int
    kind: int
    shadow: bool
    id: str
    body: bytes
    content: bytes
    json: int = -1


@dataclass(frozen=True)
class SpoolLimits:
    """A file is closed after `seconds` or `bytes`. `total` limits the bytes of all files in the folder. `free` is the
    number of bytes to keep free on the disk, at most a twentieth of it."""

    seconds: float = 300.0
    bytes: int = 32 * 2**20
    total: int = 2**30
    free: int = 200 * 2**20


class Writer:
    """Writes the files of a process, one after another. Creates each file with its first entries. Not thread-safe."""

    def __init__(self, folder: Path, head: Mapping[str, Any], limits: SpoolLimits | None = None) -> None:
        self._folder, self._limits = folder, limits or SpoolLimits()
        self._head = _block(json.dumps({"format": FORMAT, **head}).encode())
        self._file: int | None = None
        self._size, self._others, self._ends = 0, 0, 0.0

    def write(self, entries: list[LogEntry]) -> None:
        """Writes all entries or none. Raises OSError or StorageError if there is no room."""
        block = _block(b"".join(part for entry in entries for part in _packed(entry)))
        if self._file is None:
            private_folder(self._folder)
        self._check_room(len(block) + len(self._head))
        self._append(self._open() if self._file is None else self._file, block)
        if self._size >= self._limits.bytes:
            self.close()

    def rotate(self) -> None:
        """Closes a file after its time limit."""
        if self._file is not None and time.monotonic() >= self._ends:
            self.close()

    def close(self) -> None:
        if self._file is None:
            return
        file, self._file, self._size = self._file, None, 0
        try:
            os.close(file)
        except OSError as error:
            # A network disk may report failed writes only on close.
            _log.warning("A file of the request log in %s may be truncated: %s", self._folder, error)

    def _open(self) -> int:
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{secrets.token_hex(4)}{SUFFIX}"
        draft = self._folder / f".{name}"
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        try:
            # Locked before it has its final name, so that no process takes it for a complete file.
            fcntl.flock(file, fcntl.LOCK_EX)
            _write(file, self._head)
            draft.rename(self._folder / name)
        except OSError:
            os.close(file)
            draft.unlink(missing_ok=True)
            raise
        self._file, self._size = file, len(self._head)
        self._ends = time.monotonic() + self._limits.seconds
        return file

    def _append(self, file: int, block: bytes) -> None:
        try:
            _write(file, block)
        except OSError:
            # A partial block would hide the blocks after it.
            os.ftruncate(file, self._size)
            raise
        self._size += len(block)

    def _check_room(self, size: int) -> None:
        disk = os.statvfs(self._folder)
        reserve = min(self._limits.free, disk.f_blocks * disk.f_frsize // 20)
        if disk.f_bavail * disk.f_frsize - size < reserve:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._folder))
        if self._file is None or self._others + self._size + size > self._limits.total:
            self._others = held_bytes(self._folder) - self._size
        if self._others + self._size + size > self._limits.total:
            raise OSError(errno.EDQUOT, "the request log has reached its space limit", str(self._folder))


def files(folder: Path) -> list[Path]:
    """The files in the folder and below, oldest first."""
    return sorted(folder.rglob(f"[!.]*{SUFFIX}"), key=lambda path: path.name) if folder.exists() else []


def held_bytes(folder: Path) -> int:
    """Bytes of all files in the folder and below."""
    found = 0
    for path in files(folder):
        # The log exporter may have just removed it.
        with suppress(FileNotFoundError):
            found += path.stat().st_size
    return found


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Locks the file for this process if it is complete. Yields whether it was."""
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        yield False
        return
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            # Another process may have just exported and removed it.
            yield os.fstat(file).st_nlink > 0
    finally:
        os.close(file)


def read(path: Path) -> tuple[dict[str, Any] | None, Iterator[LogEntry]]:
    """The head and the entries up to the first broken block. The head is None if the file has none."""
    blocks = _blocks(path)
    head = next(blocks, None)
    return (None if head is None else json.loads(head)), (entry for block in blocks for entry in _entries(block))


def _blocks(path: Path) -> Iterator[bytes]:
    whole = 0
    with path.open("rb") as file:
        while len(start := file.read(_BLOCK.size)) == _BLOCK.size:
            magic, size, checksum = _BLOCK.unpack(start)
            content = file.read(size) if magic == _MAGIC else b""
            if magic != _MAGIC or len(content) != size or zlib.crc32(content) != checksum:
                break
            whole = file.tell()
            yield content
        if rest := os.fstat(file.fileno()).st_size - whole:
            _log.info("%s: the last %d bytes are not a complete block", path, rest)


def _entries(block: bytes) -> Iterator[LogEntry]:
    offset = 0
    while offset < len(block):
        moment, seconds, status, kind, shadow, *sizes, length = _ENTRY.unpack_from(block, offset)
        offset += _ENTRY.size
        parts = []
        for size in sizes:
            parts.append(block[offset : offset + size])
            offset += size
        yield LogEntry(moment, seconds, status, kind, bool(shadow), parts[0].decode(), parts[1], parts[2], length)


def _packed(entry: LogEntry) -> tuple[bytes, ...]:
    moment, seconds, status, kind, shadow, identity, body, content, length = entry
    name = identity.encode(errors="replace")
    sizes = len(name), len(body), len(content)
    return _ENTRY.pack(moment, seconds, status, kind, shadow, *sizes, length), name, body, content


def _block(content: bytes) -> bytes:
    return _BLOCK.pack(_MAGIC, len(content), zlib.crc32(content)) + content


def _write(file: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(file, rest) :]
