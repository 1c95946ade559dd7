"""A streaming client of Algorithmia's Data API: files and directories under names such as `user/collection/a.csv`.

The hosted service is gone; private installations and the project's own twin use the same API. Source: the requests of
the official client, algorithmia 2.0.5, and the API's documentation.
"""

from __future__ import annotations

import os
from typing import Final

from sailplane.algorithmia.client.directories import Directories
from sailplane.algorithmia.client.exchange import Exchange
from sailplane.algorithmia.client.files import RemoteFiles
from sailplane.errors import AccessError
from sailplane.storage.access import Access
from sailplane.storage.retries import RetryPolicy

__all__ = ["DataApi", "RetryPolicy", "from_environment"]

ENDPOINT_SETTING: Final = "ALGORITHMIA_API"
KEY_SETTING: Final = "ALGORITHMIA_API_KEY"


def from_environment() -> Access:
    """Reads the settings of the official client."""
    return Access(endpoint=os.environ.get(ENDPOINT_SETTING), secret=os.environ.get(KEY_SETTING))


class DataApi:
    """`files` and `directories` of the API at `access.endpoint`, with the key `access.secret`; without `access`, from
    the environment. Failed requests are retried if that may help. Safe to use from several threads.

    All methods raise AccessError for a refused key, StorageError if the API fails or cannot be reached.
    """

    def __init__(self, access: Access | None = None, patience: RetryPolicy | None = None) -> None:
        """Raises AccessError for a missing or malformed endpoint or key."""
        access = access or from_environment()
        self._http = Exchange(_endpoint(access), _key(access), patience or RetryPolicy())
        self.directories = Directories(self._http)
        self.files = RemoteFiles(self._http, self.directories)

    def __repr__(self) -> str:
        return f"DataApi({self._http.endpoint!r})"


def _endpoint(access: Access) -> str:
    if not access.endpoint:
        remedy = f"Set {ENDPOINT_SETTING}, or the connection's host. The hosted service is gone: there is no default."
        raise AccessError("open the Data API", got="no endpoint", expected="its address", remedy=remedy)
    return access.endpoint


def _key(access: Access) -> str:
    key = access.secret or ""
    # Otherwise the header's check would print it.
    if not key.strip() or not key.isascii() or not key.isprintable():
        got = "characters that a key cannot have" if key.strip() else "no API key"
        remedy = f"Set {KEY_SETTING}, or the connection's password."
        raise AccessError("open the Data API", access.endpoint, got=got, expected="a key", remedy=remedy)
    return key
