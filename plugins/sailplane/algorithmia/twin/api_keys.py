"""API keys in the ledger: each belongs to a user, and only the digest of its secret is stored."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import secrets
import string
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

import sqlalchemy as sa

from sailplane.errors import ConfigurationError
from sailplane.ledger import Ledger, persistent
from sailplane.ledger.tables import api_keys as table
from sailplane.records import Record

# How long a revoked key may still be accepted, in seconds: reading the ledger for each request would delay its writers.
FRESH_SECONDS: Final = 2.0
USER_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")
# The owner of the platform's own served models.
RESERVED: Final = frozenset({"local"})
_LETTERS: Final = string.ascii_letters + string.digits
_SECRET: Final = re.compile(r"[!-~]{10,256}")


@dataclass(frozen=True, kw_only=True)
class ApiKey(Record):
    """`hint` is the end of the secret, which is not stored."""

    id: str
    user: str
    hint: str
    created: datetime


def add(ledger: Ledger, user: str, secret: str | None = None) -> tuple[ApiKey, str]:
    """Returns the key and its secret: a new one, or the given one that the user's programs already have.
    ConfigurationError for an invalid user name, and for a secret that is invalid or in use."""
    checked_name(user)
    secret = secret or "sim" + "".join(secrets.choice(_LETTERS) for _ in range(32))
    if not _SECRET.fullmatch(secret):
        expected = "10 to 256 visible ASCII characters without spaces"
        raise ConfigurationError("add an API key for", user, got="a secret that cannot be a key", expected=expected)
    row = {"id": secrets.token_hex(4), "user": user, "hint": secret[-4:], "created": time.time()}
    try:
        with ledger.begin() as connection:
            connection.execute(sa.insert(table).values(**row, digest=digest(secret)))
    except sa.exc.IntegrityError as error:
        raise ConfigurationError("add an API key for", user, got="a secret that is in use already") from error
    return _key(row["id"], user, secret[-4:], float(str(row["created"]))), secret


@persistent
def listed(ledger: Ledger) -> list[ApiKey]:
    """The valid keys, by user and age."""
    query = sa.select(table.c.id, table.c.user, table.c.hint, table.c.created).order_by(table.c.user, table.c.created)
    with ledger.begin() as connection:
        return [_key(*row) for row in connection.execute(query)]


def revoke(ledger: Ledger, key: str) -> ApiKey:
    """Raises ConfigurationError if no valid key has this id."""
    api_key = next((known for known in listed(ledger) if known.id == key), None)
    if api_key is None:
        raise ConfigurationError("revoke API key", key, got="no such id", remedy="`... key list` shows them.")
    with ledger.begin() as connection:
        connection.execute(sa.delete(table).where(table.c.id == key))
    return api_key


def checked_name(name: str) -> str:
    """Raises ConfigurationError for an invalid name of a user or an organization."""
    if not USER_NAME.fullmatch(name) or name in RESERVED:
        expected = "1 to 64 letters, digits, _ and -, and not " + ", ".join(sorted(RESERVED))
        raise ConfigurationError("use the name", repr(name[:100]), expected=expected)
    return name


def digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


def presented(header: str) -> str | None:
    """The secret of an Authorization header: bare as the Python client sends it, Simple, Bearer, or the password of
    Basic, which clients send for the address `http://user:KEY@host`."""
    scheme, _, rest = header.strip().partition(" ")
    match scheme.lower():
        case "simple" | "bearer":
            return rest.strip() or None
        case "basic":
            return _password(rest.strip())
    return None if rest else scheme or None


class Callers:
    """Finds the user of a secret. Safe to use from several threads."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._users: dict[str, str] = {}
        self._read = -FRESH_SECONDS

    def user(self, secret: str) -> str | None:
        if time.monotonic() - self._read > FRESH_SECONDS or self._find(secret) is None:
            self._refresh()
        return self._find(secret)

    def users(self) -> set[str]:
        self._refresh()
        return set(self._users.values())

    def _find(self, secret: str) -> str | None:
        presented, found = digest(secret), None
        # Compares all keys, so that the time reveals nothing about a digest.
        for known, user in self._users.items():
            if hmac.compare_digest(known, presented):
                found = user
        return found

    @persistent
    def _refresh(self) -> None:
        now = time.monotonic()
        with self._ledger.begin() as connection:
            self._users = {row.digest: row.user for row in connection.execute(sa.select(table.c.digest, table.c.user))}
        self._read = now


def _key(key: object, user: str, hint: str, created: float) -> ApiKey:
    return ApiKey(id=str(key), user=user, hint=hint, created=datetime.fromtimestamp(created, UTC))


def _password(encoded: str) -> str | None:
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[2] or None
    except (binascii.Error, UnicodeDecodeError):
        return None
