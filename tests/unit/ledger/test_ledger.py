from __future__ import annotations

import multiprocessing

import pytest
import sqlalchemy as sa

from sailplane.errors import ConfigurationError, ServiceError
from sailplane.ledger import Ledger
from sailplane.ledger.tables import aliases


def count_up(url: str, times: int) -> None:
    """Reads and then writes in one transaction. With deferred transactions this would lose updates or fail with a lock
    error."""
    ledger = Ledger.create(url)
    for _ in range(times):
        with ledger.begin() as connection:
            n = connection.scalar(sa.select(sa.func.max(aliases.c.changed))) or 0
            connection.execute(sa.delete(aliases))
            connection.execute(sa.insert(aliases).values(name="n", alias="a", version="v", changed=n + 1))


@pytest.mark.slow
def test_transactions_of_several_processes_are_serialised(tmp_path):
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    Ledger.create(url)
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=count_up, args=(url, 20)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    with Ledger.create(url).begin() as connection:
        assert connection.scalar(sa.select(aliases.c.changed)) == 60


@pytest.mark.parametrize("url", ["mysql://user:secret@host/x", "postgresql+psycopg://host/x", "ledger.db"])
def test_a_database_that_cannot_be_used_is_refused_without_its_password(url):
    with pytest.raises(ConfigurationError, match="ledger") as refused:
        Ledger.create(url)
    assert "secret" not in str(refused.value)


def test_a_database_that_is_away_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setattr("sailplane.ledger.schema.OPENING_SECONDS", 0.3)
    with pytest.raises(ServiceError, match=r"127.0.0.1:9/ledger: .*refused.*; |SAILPLANE_LEDGER"):
        Ledger.create("postgresql://user:secret@127.0.0.1:9/ledger")


def test_a_ledger_that_somebody_else_holds_for_too_long_is_a_service_that_does_not_answer(tmp_path):
    ledger = Ledger.create(f"sqlite:///{tmp_path / 'ledger.db'}")
    ledger.engine.dispose()
    sa.event.listen(ledger.engine, "connect", lambda opened, _: opened.execute("PRAGMA busy_timeout=20"))
    with (
        ledger.begin(),
        pytest.raises(ServiceError, match=r"ledger\.db: other processes have been writing for 30 s"),
        ledger.begin(),
    ):
        raise AssertionError("two at a time")


def test_a_transaction_that_raises_leaves_nothing(tmp_path):
    ledger = Ledger.create(f"sqlite:///{tmp_path / 'ledger.db'}")
    row = {"name": "n", "alias": "a", "version": "v", "changed": 1}
    with pytest.raises(sa.exc.IntegrityError), ledger.begin() as connection:
        connection.execute(sa.insert(aliases), [row, row])
    with ledger.begin() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(aliases)) == 0
