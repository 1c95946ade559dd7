"""obstore's failures in one line, because it prints the request, the answer's XML and its own state. Also our own
retries, for requests that obstore would not retry, or would resume incorrectly."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from obstore import exceptions

from sailplane.errors import AccessError, StorageError
from sailplane.files import FULL, no_room
from sailplane.storage.retries import Attempts, RetryPolicy

T = TypeVar("T")
PATIENCE: Final = RetryPolicy()
ACCESS_CODES: Final = frozenset(
    {"AccessDenied", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch"}
)
_STATUS: Final = r"status code: (\d+"
_BUSY: Final = (408, 429)
_DENIED = (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError, PermissionError)


def failure(verb: str, which: str, error: Exception, disk: Path | None = None) -> StorageError:
    """AccessError for wrong credentials, else StorageError; for a full `disk` with its free space."""
    text = str(error)
    number = number_of(error)
    if disk and number in FULL:
        return no_room(verb, which, disk=disk, number=number)
    code, message = _found(r"<Code>(.*?)</Code>", text), _found(r"<Message>(.*?)</Message>", text)
    status = _found(rf"{_STATUS} [\w ]+)", text)
    got = ": ".join(filter(None, (status, code, message))) or _short(text)
    if code in ACCESS_CODES or isinstance(error, _DENIED):
        return AccessError(verb, which, got=got, remedy="Check the credentials and their permissions.")
    if code == "NoSuchBucket":
        return StorageError(verb, which, got="there is no such bucket", remedy="Create it, or correct the URI.")
    return StorageError(verb, which, got=got, remedy="Check that the store is reachable, then try again.")


def attempts() -> Attempts:
    return Attempts(PATIENCE)


def tried(verb: str, which: str, ask: Callable[[], T], tries: Attempts | None = None) -> T:
    """The result of `ask`, retried if that can help."""
    tries = tries or attempts()
    while True:
        try:
            return ask()
        except exceptions.BaseError as error:
            if not may_be_mended(error):
                raise
            tries.failed(failure(verb, which, error))


def number_of(error: Exception) -> int:
    """The operating system's error number, which obstore gives only in its text; 0 for other errors."""
    return int(getattr(error, "errno", None) or _found(r"\(os error (\d+)\)", str(error)) or 0)


def status_of(error: Exception) -> int:
    """The HTTP status of the answer; 0 without an answer."""
    return int(_found(rf"{_STATUS})", str(error)) or 0)


def may_be_mended(error: Exception) -> bool:
    """Whether the same request may succeed later."""
    status = status_of(error)
    return not isinstance(error, _DENIED) and (status in (0, *_BUSY) or status >= 500)


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.DOTALL)
    return match.group(1).strip() if match else ""


def _short(text: str) -> str:
    """The first line, without the URL's query, which may be signed."""
    return re.sub(r"\?\S*", "", text.partition("\n")[0])[:300]
