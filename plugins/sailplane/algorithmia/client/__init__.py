"""A client of Algorithmia's Data API that streams: files and directories behind names such as `user/collection/a.csv`.

The hosted service is gone; private installations live on, and the project's own twin speaks the same. Source: what the
official client, algorithmia 2.0.5, sends and takes, and the API's documentation.
"""

from __future__ import annotations

import os
from typing import Final

from sailplane.algorithmia.client.directories import Directories
from sailplane.algorithmia.client.exchange import Exchange
from sailplane.algorithmia.client.files import Files
from sailplane.errors import AccessError
from sailplane.storage.access import Access
from sailplane.storage.retries import RetryPolicy

__all__ = ["DataApi", "RetryPolicy", "from_environment"]

ENDPOINT_SETTING: Final = "ALGORITHMIA_API"
KEY_SETTING: Final = "ALGORITHMIA_API_KEY"


def from_environment() -> Access:
    """From the settings of the official client."""
    return Access(endpoint=os.environ.get(ENDPOINT_SETTING), secret=os.environ.get(KEY_SETTING))


class DataApi:
    """`files` and `directories` of the API at `access.endpoint`, for the owner of the key `access.secret`; without it,
    as the environment says. Requests that failed are tried again where that can mend them. Threads may share it.

    All verbs raise AccessError where the key is refused, StorageError where the API cannot be reached or fails.
    """

    def __init__(self, access: Access | None = None, patience: RetryPolicy | None = None) -> None:
        """Raises AccessError for an endpoint or a key that is missing or malformed."""
        access = access or from_environment()
        self._http = Exchange(_endpoint(access), _key(access), patience or RetryPolicy())
        self.directories = Directories(self._http)
        self.files = Files(self._http, self.directories)

    def __repr__(self) -> str:
        return f"DataApi({self._http.endpoint!r})"


def _endpoint(access: Access) -> str:
    if not access.endpoint:
        remedy = f"Set {ENDPOINT_SETTING}, or the connection's host. The hosted service is gone: there is no default."
        raise AccessError("open the Data API", got="no endpoint", expected="its address", remedy=remedy)
    return access.endpoint


def _key(access: Access) -> str:
    key = access.secret or ""
    # Else the header's check would print it.
    if not key.strip() or not key.isascii() or not key.isprintable():
        got = "characters that no key has" if key.strip() else "no API key"
        remedy = f"Set {KEY_SETTING}, or the connection's password."
        raise AccessError("open the Data API", access.endpoint, got=got, expected="a key", remedy=remedy)
    return key
