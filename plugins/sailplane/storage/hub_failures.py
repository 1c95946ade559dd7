"""huggingface_hub's failures in one line, because it prints the request, the address and much advice."""

from __future__ import annotations

import json
from typing import Final

import httpx2
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from sailplane.errors import AccessError, StorageError
from sailplane.storage.failures import failure

# All errors of huggingface_hub; ValueError and RuntimeError for a bad answer or a failed upload.
ERRORS: Final = (httpx2.HTTPError, RuntimeError, ValueError, OSError)
RETRIED: Final = frozenset({408, 429, 500, 502, 503, 504})
# The statuses after another commit came first.
MOVED: Final = frozenset({409, 412})
_HOPELESS: Final = (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError, httpx2.ProxyError)


def status(error: Exception) -> int | None:
    """The HTTP status of the Hub's refusal; None without an answer."""
    error = _cause(error)
    return error.response.status_code if isinstance(error, HfHubHTTPError) else None


def is_transient(error: Exception, statuses: frozenset[int]) -> bool:
    """True if another attempt may succeed: for these statuses, and for a failed connection."""
    error = _cause(error)
    if isinstance(error, HfHubHTTPError):
        return status(error) in statuses
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return False
    # An overloaded server sends a web page instead of JSON.
    connection = isinstance(error, httpx2.TransportError) and not isinstance(error, _HOPELESS)
    return connection or isinstance(error, json.JSONDecodeError)


def pause(error: Exception) -> float:
    """Seconds that the server asks to wait; 0 without a request."""
    error = _cause(error)
    seconds = error.response.headers.get("Retry-After", "") if isinstance(error, HfHubHTTPError) else ""
    return float(seconds) if seconds.isdecimal() else 0


def explained(verb: str, which: str, error: Exception, secret: str | None) -> StorageError | FileNotFoundError:
    """AccessError for a wrong token, FileNotFoundError for a missing object or repository, else StorageError."""
    error = _cause(error)
    if isinstance(error, HfHubHTTPError):
        return _refused(verb, which, error, secret)
    if isinstance(error, OfflineModeIsEnabled):
        return StorageError(verb, which, got="HF_HUB_OFFLINE is set", remedy="Unset it and run again.")
    if isinstance(error, OSError):
        return failure(verb, which, error)
    got = _hidden(f"{type(error).__name__}: {error}", secret)
    remedy = "Check that the Hub is reachable, then try again." if isinstance(error, httpx2.HTTPError) else ""
    return StorageError(verb, which, got=got, expected="an answer from the Hub", remedy=remedy)


def _refused(verb: str, which: str, error: HfHubHTTPError, secret: str | None) -> StorageError | FileNotFoundError:
    code = error.response.status_code
    if code in (401, 403):
        remedy = "Check the token and its permissions. A missing repository can also look like this."
        if isinstance(error, GatedRepoError):
            remedy = "Request access on the repository's page."
        return AccessError(verb, which, got=_message(error, secret), expected="access", remedy=remedy)
    if isinstance(error, EntryNotFoundError | RepositoryNotFoundError):
        return FileNotFoundError(which)
    if isinstance(error, RevisionNotFoundError):
        return StorageError(
            verb, which, got="there is no such revision", remedy="Create the branch, or correct the URI."
        )
    return StorageError(verb, which, got=_message(error, secret), expected="status 2xx")


def _message(error: HfHubHTTPError, secret: str | None) -> str:
    return _hidden(f"{error.response.status_code} {error.server_message or error.response.reason_phrase}", secret)


def _hidden(text: str, secret: str | None) -> str:
    """The first line, without the token and a URL's signature."""
    line = text.strip().partition("\n")[0]
    line = " ".join(word.partition("?")[0] if "://" in word else word for word in line.split(" "))
    return (line.replace(secret, "***") if secret else line)[:300]


def _cause(error: Exception) -> Exception:
    """The cause of a failed upload, which huggingface_hub's own message lacks."""
    return error.__cause__ if isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception) else error
