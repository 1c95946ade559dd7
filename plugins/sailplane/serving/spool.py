"""Files in which a model server leaves what it answered, for who ships them to the store.

A file is a row of blocks, each whole or passed over: 4 letters, the length, a CRC, the content. The first one is the
head, in JSON: all that is needed to read the others when the version is gone. The others hold entries, the bodies as
they came. Who writes a file holds a lock on it, so that a file without one is complete, whatever ended its writer.
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
# Of one that is set aside, for a person to look at.
UNREADABLE: Final = ".unreadable"
# In the folder above all: why the last try to ship failed.
FAILURE: Final = "failure.json"
FORMAT: Final = 1
_MAGIC: Final = b"SPL1"
_BLOCK: Final = struct.Struct("<4sII")
_ENTRY: Final = struct.Struct("<ddHBBIIIi")
# The kinds of entries: the protocols, feedback, and how many entries were lost before this one.
SELDON, OPEN_INFERENCE, OPEN_INFERENCE_GRPC, FEEDBACK, LOST, SELDON_GRPC = range(6)

_log = logging.getLogger(__name__)


class Entry(NamedTuple):
    """`content` of an answer with scores are these, as float32, but gRPC's, which is the answer's body; else it is the
    reason. `json`: how much of the body is JSON, -1 for all of it."""

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
class Limits:
    """`seconds`, `bytes`: after which a file is closed. `total`: bytes of all files in the folder. `free`: so many
    stay free on the disk, or a twentieth of it if that is less."""

    seconds: float = 300.0
    bytes: int = 32 * 2**20
    total: int = 2**30
    free: int = 200 * 2**20


class Writer:
    """Of one process: one file after the other, each made with its first entries. Of one thread."""

    def __init__(self, folder: Path, head: Mapping[str, Any], limits: Limits | None = None) -> None:
        self._folder, self._limits = folder, limits or Limits()
        self._head = _block(json.dumps({"format": FORMAT, **head}).encode())
        self._file: int | None = None
        self._size, self._others, self._ends = 0, 0, 0.0

    def write(self, entries: list[Entry]) -> None:
        """All of them or none. OSError or StorageError where there is no room."""
        block = _block(b"".join(part for entry in entries for part in _packed(entry)))
        if self._file is None:
            private_folder(self._folder)
        self._check_room(len(block) + len(self._head))
        self._append(self._open() if self._file is None else self._file, block)
        if self._size >= self._limits.bytes:
            self.close()

    def rotate(self) -> None:
        """Closes a file whose time is over."""
        if self._file is not None and time.monotonic() >= self._ends:
            self.close()

    def close(self) -> None:
        if self._file is None:
            return
        file, self._file, self._size = self._file, None, 0
        try:
            os.close(file)
        except OSError as error:
            # A disk on the network may say only now what it did not take.
            _log.warning("A file of the request log in %s may lack its end: %s", self._folder, error)

    def _open(self) -> int:
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{secrets.token_hex(4)}{SUFFIX}"
        draft = self._folder / f".{name}"
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        try:
            # Before it has its name, so that nobody takes it for one that is complete.
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
            # What was written of it would hide what comes after.
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
            raise OSError(errno.EDQUOT, "the request log has all the space that it may take", str(self._folder))


def files(folder: Path) -> list[Path]:
    """In it and below, the oldest first."""
    return sorted(folder.rglob(f"[!.]*{SUFFIX}"), key=lambda path: path.name) if folder.exists() else []


def held_bytes(folder: Path) -> int:
    """Bytes of all of these files."""
    found = 0
    for path in files(folder):
        # Who ships it may remove it just now.
        with suppress(FileNotFoundError):
            found += path.stat().st_size
    return found


@contextmanager
def taken(path: Path) -> Iterator[bool]:
    """Whether the file is complete, and for now this process's alone."""
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
            # Somebody else may have shipped and removed it just now.
            yield os.fstat(file).st_nlink > 0
    finally:
        os.close(file)


def read(path: Path) -> tuple[dict[str, Any] | None, Iterator[Entry]]:
    """The head and the entries, up to the first block that is not whole. The head of a file without one is None."""
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
            _log.info("%s: %d bytes at its end are no whole block", path, rest)


def _entries(block: bytes) -> Iterator[Entry]:
    place = 0
    while place < len(block):
        moment, seconds, status, kind, shadow, *sizes, length = _ENTRY.unpack_from(block, place)
        place += _ENTRY.size
        parts = []
        for size in sizes:
            parts.append(block[place : place + size])
            place += size
        yield Entry(moment, seconds, status, kind, bool(shadow), parts[0].decode(), parts[1], parts[2], length)


def _packed(entry: Entry) -> tuple[bytes, ...]:
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
