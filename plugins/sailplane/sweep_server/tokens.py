"""The token of each shared sweep, in the ledger. Only its digest is kept; sharing the sweep again revokes the old
token."""

from __future__ import annotations

import hmac
import secrets
import time
from hashlib import sha256
from typing import Final

import sqlalchemy as sa

from sailplane.ledger import Ledger, persistent
from sailplane.ledger.tables import shares as table
from sailplane.sweeps import results

PREFIX: Final = "sweep-"


@persistent
def share(ledger: Ledger, sweep: str) -> tuple[str, str]:
    """Returns the sweep's permanent share name, for its workers, and a new token. Raises ConfigurationError for an
    unknown sweep."""
    results.read(ledger, sweep)
    token = PREFIX + secrets.token_urlsafe(32)
    with ledger.begin() as connection:
        known = connection.execute(sa.select(table.c.id).where(table.c.sweep == sweep)).scalar_one_or_none()
        row = {"id": known or secrets.token_hex(4), "digest": _digest(token), "created": time.time()}
        connection.execute(sa.delete(table).where(table.c.sweep == sweep))
        connection.execute(sa.insert(table).values(sweep=sweep, **row))
    return str(row["id"]), token


def unshare(ledger: Ledger, sweep: str) -> bool:
    """Revokes the token. Returns whether the sweep was shared."""
    with ledger.begin() as connection:
        return connection.execute(sa.delete(table).where(table.c.sweep == sweep)).rowcount == 1


@persistent
def is_shared(ledger: Ledger, sweep: str) -> bool:
    """Whether workers on other machines can join the sweep."""
    with ledger.begin() as connection:
        return connection.execute(sa.select(table.c.id).where(table.c.sweep == sweep)).first() is not None


@persistent
def authorized(ledger: Ledger, share: str, token: str) -> str | None:
    """The sweep with this share name and token; None if they do not match."""
    with ledger.begin() as connection:
        row = connection.execute(sa.select(table.c.sweep, table.c.digest).where(table.c.id == share)).one_or_none()
    return row.sweep if row and hmac.compare_digest(row.digest, _digest(token)) else None


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()
