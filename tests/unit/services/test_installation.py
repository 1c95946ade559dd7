"""Ledgers of other releases, as `sailplane up` finds them."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from sailplane.errors import LedgerError
from sailplane.home import Home
from sailplane.ledger import Ledger, schema
from sailplane.ledger.tables import identity
from sailplane.registry.models import versions
from sailplane.services import installation
from tests.homes import new_home

EARLIER = Path(__file__).parents[1] / "ledger" / "ledgers" / "2026-11-23.sql"


@pytest.fixture
def file(home: Home) -> Path:
    """A ledger of 23 November."""
    file = home.root / "ledger.db"
    file.parent.mkdir(parents=True)
    with closing(sqlite3.connect(file)) as database:
        database.executescript(EARLIER.read_text())
    return file


@pytest.mark.slow
def test_up_copies_a_ledger_before_it_migrates_it_and_the_copy_can_be_put_back(home: Home, file: Path) -> None:
    told: list[str] = []
    assert installation.lost(home, told.append) is None
    copy = file.with_name(f"ledger.db.before-{schema.REVISION}")
    was = f"Migrating the ledger from a release without revisions to revision {schema.REVISION}."
    assert told == [f"{was} {copy} is a copy of the old ledger."]
    migrated = versions(Ledger(home.ledger))
    assert len(migrated) == 3
    assert rows(copy) == rows(file)
    assert installation.lost(home, told.append) is None
    assert len(told) == 1, "once"

    Ledger(home.ledger).engine.dispose()
    shutil.copy(copy, file)
    # As in another process.
    schema._good.clear()
    assert schema.revision(home.ledger) == ""
    with pytest.raises(LedgerError, match="`sailplane up` brings it up to date"):
        Ledger(home.ledger)
    assert installation.lost(home) is None
    assert versions(Ledger(home.ledger)) == migrated


def rows(file: Path) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(file)) as database:
        return database.execute("SELECT sweep, number, state FROM trials ORDER BY 1, 2").fetchall()


def test_a_ledger_that_cannot_be_migrated_has_its_copy_and_is_as_it_was(home: Home, file: Path) -> None:
    with closing(sqlite3.connect(file)) as database:
        database.execute("DROP INDEX trials_by_lease")
        database.execute("ALTER TABLE trials DROP COLUMN lease_until")
    fault = installation.lost(home)
    assert fault
    assert "column trials.lease_until" in str(fault)
    assert rows(file) == rows(file.with_name(f"ledger.db.before-{schema.REVISION}"))
    assert schema.revision(home.ledger) == ""


def test_up_refuses_a_ledger_of_a_newer_release_by_name_and_does_not_call_it_lost(home: Home) -> None:
    new_home(home)
    ledger = Ledger(home.ledger)
    with ledger.begin() as connection:
        connection.exec_driver_sql("UPDATE ledger_revision SET version_num = '9999'")
        connection.execute(sa.update(identity).values(written_by="7.0"))
    ledger.engine.dispose()
    schema._good.clear()
    before = (home.root / "ledger.db").read_bytes()
    with pytest.raises(LedgerError, match=r"revision 9999, written by sailplane 7\.0.*Install that version") as refused:
        installation.lost(home)
    assert refused.value.reason == "newer"
    assert (home.root / "ledger.db").read_bytes() == before
