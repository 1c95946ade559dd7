"""Aliases on both databases change in one transaction, even if a process dies or another one interferes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from sailplane.ledger import Ledger, tables
from sailplane.records import Model
from sailplane.registry import models
from tests.unit.bundles.tiny import AS_OF

NAMED = {"champion": "1", "previous": "2", "challenger": "3"}


def register(ledger: Ledger, *versions: str) -> None:
    for version in versions:
        model = Model(name="m", version=version, uri="file:///x", digest=version, run="r", dataset="d", as_of=AS_OF)
        row = {"name": "m", "version": version, "record": model.to_dict(), "created": time.time()}
        with ledger.begin() as connection:
            connection.execute(sa.insert(tables.models).values(row))


def named(ledger: Ledger) -> dict[str, str]:
    """Returns the aliases, all read at the same moment."""
    return {alias: version.model.version for version in models.versions(ledger, "m") for alias in version.aliases}


@pytest.fixture
def three(ledger: Ledger) -> Ledger:
    register(ledger, "1", "2", "3")
    rows = [{"name": "m", "alias": alias, "version": version, "changed": 0.0} for alias, version in NAMED.items()]
    with ledger.begin() as connection:
        connection.execute(sa.insert(tables.aliases), rows)
    return ledger


class Broken(Exception):
    pass


@contextmanager
def broken_at(ledger: Ledger, statement: int) -> Iterator[None]:
    """Breaks the connection after the statement has reached the database."""
    seen: list[str] = []

    def count(_connection: Any, _cursor: Any, sql: str, *_: Any) -> None:
        seen.append(sql)
        if len(seen) == statement:
            raise Broken(sql)

    sa.event.listen(ledger.engine, "after_cursor_execute", count)
    try:
        yield
    finally:
        sa.event.remove(ledger.engine, "after_cursor_execute", count)


def test_a_promotion_that_breaks_off_at_any_statement_changes_nothing(three: Ledger) -> None:
    statement = 0
    while True:
        statement += 1
        try:
            with broken_at(three, statement):
                models.promote(three, "m", "3")
        except Broken:
            assert named(three) == NAMED
        else:
            break
    assert statement > 5
    assert named(three) == {"champion": "3", "previous": "1"}


def _die(url: str) -> None:
    ledger = Ledger.create(url)
    sa.event.listen(ledger.engine, "commit", lambda _connection: os.kill(os.getpid(), signal.SIGKILL))
    models.promote(ledger, "m", "3")


def test_a_process_that_is_killed_before_it_commits_changes_nothing(url: str, three: Ledger) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_die, args=(url,))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert named(three) == NAMED
    models.promote(three, "m", "3")
    assert named(three) == {"champion": "3", "previous": "1"}


def test_of_many_promotions_at_once_each_sees_the_one_before_it(ledger: Ledger) -> None:
    versions = [str(n) for n in range(8)]
    register(ledger, *versions)
    seen: list[dict[str, str]] = []

    def promote(version: str) -> None:
        for _ in range(5):
            models.promote(ledger, "m", version)
            seen.append(named(ledger))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(promote, versions))
    last = named(ledger)
    assert set(last) == {"champion", "previous"}
    assert all(one["champion"] != one.get("previous") for one in [*seen, last])
