"""What a path of the Data API names: `user/collection/directory/file`, of which `.my` is the caller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import unquote_to_bytes

from sailplane.algorithmia.twin.api_keys import USER_NAME
from sailplane.errors import RequestError
from sailplane.storage.keys import checked

ROOT: Final = "algorithmia/data"
DIRECTORIES: Final = "algorithmia/directories"
# In the folder of each directory, so that no directory can have these names. A file is never where a directory was: on
# some stores an empty folder remains of that.
RECORD: Final = ".directory"
FILES: Final = ".files"
RESERVED: Final = frozenset({RECORD, FILES})
# What the longest path has around it in the store.
_AROUND: Final = f"{DIRECTORIES}/{RECORD}"
_SUPPORTED: Final = "data://user/collection/file, as /v1/data/{path} or /v1/connector/data/{path}"


@dataclass(frozen=True)
class Place:
    """A user's root (no parts), a collection (one part), or what lies in it."""

    owner: str
    parts: tuple[str, ...] = ()

    @property
    def uri(self) -> str:
        return f"data://{'/'.join((self.owner, *self.parts))}"

    @property
    def key(self) -> str:
        """Of the file, in the store."""
        return f"{self.parent.files}/{self.parts[-1]}"

    @property
    def files(self) -> str:
        """The folder of a directory's files."""
        return f"{self.folder}/{FILES}"

    @property
    def folder(self) -> str:
        """Of all files that are anywhere in a directory."""
        return "/".join((ROOT, self.owner, *self.parts))

    @property
    def parent(self) -> Self:
        return type(self)(self.owner, self.parts[:-1])

    def child(self, name: object) -> Self:
        return type(self)(self.owner, (*self.parts, checked_part(name)))


def decoded(path: bytes) -> str:
    """Of a request's path as it was sent. Raises RequestError for what is no UTF-8."""
    try:
        return unquote_to_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise RequestError("read path", repr(path[:100]), got="bytes that are no UTF-8") from error


def place_of(path: str, caller: str) -> Place | None:
    """None for the root, which holds the users. Raises ConfigurationError for what the store cannot hold, RequestError
    for what this API has not."""
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
        raise RequestError("use", repr(owner[:100]), got="no user's name", expected=".my, or letters, digits, _ and -")
    return Place(owner, tuple(parts))


def connected(path: str) -> str:
    """The data path of `{connector}/{path}`. Raises RequestError for a connector to another store."""
    connector, _, rest = path.partition("/")
    if connector != "data":
        raise _no_connector(connector)
    return rest


def checked_part(name: object) -> str:
    if not isinstance(name, str) or "/" in name:
        got = repr(name)[:100]
        raise RequestError("use the name", got, expected="one name, without /")
    return checked(name)


def _no_connector(name: str) -> RequestError:
    remedy = "Copy the object into a collection; or set SAILPLANE_STORE to the bucket, and collections lie there."
    return RequestError("use connector", repr(name[:100]), got="not connected", expected=_SUPPORTED, remedy=remedy)
