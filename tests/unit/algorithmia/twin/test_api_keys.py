from __future__ import annotations

import base64

import pytest
import sqlalchemy as sa

from sailplane.algorithmia.twin.api_keys import Callers, add, listed, presented, revoke
from sailplane.errors import ConfigurationError
from sailplane.ledger import Ledger
from sailplane.ledger.tables import api_keys as table

BASIC = base64.b64encode(b"alice:secret").decode()


@pytest.mark.parametrize(
    ("header", "secret"),
    [
        ("secret", "secret"),
        ("Simple secret", "secret"),
        ("simple  secret ", "secret"),
        ("Bearer secret", "secret"),
        (f"Basic {BASIC}", "secret"),
        ("", None),
        ("Simple", None),
        ("Bearer ", None),
        ("Basic !!", None),
        ("Basic " + base64.b64encode(b"alice").decode(), None),
        ("Digest secret", None),
        ("two words", None),
    ],
)
def test_a_secret_is_found_in_each_form_of_the_header(header: str, secret: str | None) -> None:
    assert presented(header) == secret


@pytest.mark.slow
def test_a_key_is_its_users_until_it_is_revoked(ledger: Ledger) -> None:
    key, secret = add(ledger, "alice")
    assert Callers(ledger).user(secret) == "alice"
    assert Callers(ledger).user(secret + "x") is None
    assert [(one.id, one.user, one.hint) for one in listed(ledger)] == [(key.id, "alice", secret[-4:])]
    assert revoke(ledger, key.id) == key
    assert Callers(ledger).user(secret) is None
    with pytest.raises(ConfigurationError, match="no such id"):
        revoke(ledger, key.id)


def test_a_new_key_is_known_at_once_where_others_were_read_before(ledger: Ledger) -> None:
    callers = Callers(ledger)
    assert callers.user(add(ledger, "alice")[1]) == "alice"
    assert callers.user(add(ledger, "bob")[1]) == "bob"
    assert callers.users() == {"alice", "bob"}


def test_no_secret_is_on_the_ledger(ledger: Ledger) -> None:
    secret = add(ledger, "alice", "simOLDKEY0123456789")[1]
    with ledger.begin() as connection:
        (row,) = connection.execute(sa.select(table))
    assert secret not in str(row)
    assert len(row.digest) == 64


@pytest.mark.parametrize("user", ["", "local", ".my", "a/b", "-a", "a" * 65, "ä", "a\n"])
def test_a_name_that_no_user_can_have_is_refused(ledger: Ledger, user: str) -> None:
    with pytest.raises(ConfigurationError, match="use the name"):
        add(ledger, user)


def test_an_old_key_is_taken_once_and_one_that_cannot_be_sent_is_not(ledger: Ledger) -> None:
    assert add(ledger, "alice", "simOLDKEY0123456789")[1] == "simOLDKEY0123456789"
    with pytest.raises(ConfigurationError, match="in use already"):
        add(ledger, "bob", "simOLDKEY0123456789")
    for secret in ("short", "two words here", "ключключключ"):
        with pytest.raises(ConfigurationError, match="cannot be a key") as refused:
            add(ledger, "bob", secret)
        assert secret not in str(refused.value)
