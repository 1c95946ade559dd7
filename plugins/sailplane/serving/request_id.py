"""The id of a request, by which feedback and late labels find it: the message's own (Seldon's `meta.puid`, v2's `id`),
else that of a header, else one that is made. The answer carries it as the header that Seldon's own servers use."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final

PUID: Final = "seldon-puid"
# Envoy gives each request one, the same to who is asked again.
_HEADERS: Final = (PUID.encode(), b"x-request-id")
# One that is longer, or does not fit into a header, is in the answer's body only.
_LONGEST: Final = 200
# The router gives it to the copy of a request that a shadow gets, and takes it from all others.
SHADOW: Final = "x-sailplane-shadow"
# Of a deployment's own request, which belongs into no log.
SMOKE_TEST: Final = "sailplane-smoke-test"

# It is no secret, and the system's own random numbers take ten times as long.
_random = random.Random()  # noqa: S311


def of(headers: Mapping[bytes, bytes]) -> str:
    """What a header says, or a new one."""
    for name in _HEADERS:
        given = headers.get(name)
        if given and len(given) <= _LONGEST and given.isascii():
            return given.decode()
    return f"{_random.getrandbits(128):032x}"


def told(identity: str) -> tuple[tuple[bytes, bytes], ...]:
    """As a header, where it can be one."""
    if 0 < len(identity) <= _LONGEST and identity.isascii() and identity.isprintable():
        return ((PUID.encode(), identity.encode()),)
    return ()
