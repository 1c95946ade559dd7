"""Paths of the Data API: `user/collection/directory/file`, where `.my` is the caller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import unquote_to_bytes

from sailplane.algorithmia.twin.api_keys import USER_NAME
from sailplane.errors import RequestError
from sailplane.storage.keys import checked

ROOT: Final = "algorithmia/data"
DIRECTORIES: Final = "algorithmia/directories"
# In each directory's folder, so no directory can have these names. A file never replaces a directory, because some
# stores keep its empty folder.
RECORD: Final = ".directory"
FILES: Final = ".files"
RESERVED: Final = frozenset({RECORD, FILES})
# The longest path's prefix and suffix in the store.
_AROUND: Final = f"{DIRECTORIES}/{RECORD}"
_SUPPORTED: Final = "data://user/collection/file, as /v1/data/{path} or /v1/connector/data/{path}"


@dataclass(frozen=True)
class TwinPath:
    """A user's root (no parts), a collection (one part), or a path in it."""

    owner: str
    parts: tuple[str, ...] = ()

    @property
    def uri(self) -> str:
        return f"data://{'/'.join((self.owner, *self.parts))}"

    @property
    def key(self) -> str:
        """The file's key in the store."""
        return f"{self.parent.files}/{self.parts[-1]}"

    @property
    def files(self) -> str:
        """The folder for a directory's files."""
        return f"{self.folder}/{FILES}"

    @property
    def folder(self) -> str:
        """The folder for all files in a directory and below it."""
        return "/".join((ROOT, self.owner, *self.parts))

    @property
    def parent(self) -> Self:
        return type(self)(self.owner, self.parts[:-1])

    def child(self, name: object) -> Self:
        return type(self)(self.owner, (*self.parts, checked_part(name)))


def decoded(path: bytes) -> str:
    """The path of a request as sent. Raises RequestError if it is not UTF-8."""
    try:
        return unquote_to_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise RequestError("read path", repr(path[:100]), got="bytes that are not UTF-8") from error


def parsed(path: str, caller: str) -> TwinPath | None:
    """None for the root, which holds the users. Raises ConfigurationError for paths that the store cannot hold,
    RequestError for paths outside this API."""
    path = path.removeprefix("data://")
    scheme, separator, _ = path.partition("://")
    if separator:
        raise _no_connector(scheme)
    path = path.removesuffix("/")
    if not path:
        return None
    owner, *parts = checked(path, _AROUND).split("/")
    if owner == ".my":
        owner = caller
    if not USER_NAME.fullmatch(owner):
        raise RequestError("use", repr(owner[:100]), got="an invalid user", expected=".my, or letters, digits, _ and -")
    return TwinPath(owner, tuple(parts))


def connected(path: str) -> str:
    """The data path of `{connector}/{path}`. Raises RequestError for a connector to another store."""
    connector, _, rest = path.partition("/")
    if connector != "data":
        raise _no_connector(connector)
    return rest


def checked_part(name: object) -> str:
    if not isinstance(name, str) or "/" in name:
        got = repr(name)[:100]
        raise RequestError("use the name", got, expected="a name without /")
    return checked(name)


def _no_connector(name: str) -> RequestError:
    remedy = "Copy the object into a collection, or set SAILPLANE_STORE to the bucket to keep collections there."
    return RequestError("use connector", repr(name[:100]), got="not connected", expected=_SUPPORTED, remedy=remedy)
