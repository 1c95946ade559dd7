"""The id of a request, by which feedback and late labels are joined to it. It comes from the message (Seldon's
`meta.puid`, v2's `id`), else from a header; else it is new. The answer carries it in the header that Seldon's own
servers use."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final

PUID: Final = "seldon-puid"
# Envoy gives each request an id, and retries keep it.
_HEADERS: Final = (PUID.encode(), b"x-request-id")
# An id that is longer, or invalid in a header, is only in the answer's body.
_LONGEST: Final = 200
# The router adds this header to copies for a shadow, and removes it from all other requests.
SHADOW: Final = "x-sailplane-shadow"
# The id of a deployment's own request, which is not logged.
SMOKE_TEST: Final = "sailplane-smoke-test"

# The id is not secret, and the system's random numbers are ten times slower.
_random = random.Random()  # noqa: S311


def from_headers(headers: Mapping[bytes, bytes]) -> str:
    """The id in a header, or a new one."""
    for name in _HEADERS:
        given = headers.get(name)
        if given and len(given) <= _LONGEST and given.isascii():
            return given.decode()
    return f"{_random.getrandbits(128):032x}"


def header(identity: str) -> tuple[tuple[bytes, bytes], ...]:
    """The id as a header; empty if it is invalid there."""
    if 0 < len(identity) <= _LONGEST and identity.isascii() and identity.isprintable():
        return ((PUID.encode(), identity.encode()),)
    return ()
