from __future__ import annotations

import multiprocessing
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory

from sailplane import __version__
from sailplane.deployment.local.endpoint import deployments
from sailplane.deployment.rollout import records
from sailplane.errors import LedgerError
from sailplane.evaluation.history import verdicts
from sailplane.ledger import Ledger, schema
from sailplane.ledger.engines import engine_of
from sailplane.ledger.relative import replaced
from sailplane.ledger.rewriting import make_relative
from sailplane.ledger.tables import identity, metadata, models
from sailplane.records import Interval
from sailplane.registry.aliases import aliases_of, mark
from sailplane.registry.models import alias, promote, versions
from sailplane.sweeps import results
from tests.postgres import PostgreSQL

LEDGERS = sorted((Path(__file__).parent / "ledgers").glob("*.sql"))
NEWEST = "toy"


def restored(dump: Path, folder: Path) -> Path:
    file = folder / "ledger.db"
    with sqlite3.connect(file) as connection:
        connection.executescript(dump.read_text())
    connection.close()
    return file


def on_postgresql(file: Path, url: str) -> None:
    """Copies the tables and rows to PostgreSQL."""
    source, kept = sa.create_engine(f"sqlite:///{file}"), sa.MetaData()
    kept.reflect(source)
    with source.connect() as reading, engine_of(url).begin() as writing:
        kept.create_all(writing)
        for table in kept.sorted_tables:
            rows = [dict(row) for row in reading.execute(sa.select(table)).mappings()]
            if rows:
                writing.execute(sa.insert(table), rows)
    source.dispose()


def test_the_code_knows_the_newest_revision() -> None:
    scripts = ScriptDirectory(str(Path(schema.__file__).parent / "migrations"))
    assert tuple(reversed([one.revision for one in scripts.walk_revisions()])) == schema.REVISIONS


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))])
@pytest.mark.parametrize("dump", LEDGERS, ids=lambda dump: dump.stem)
def test_everything_in_a_ledger_of_an_earlier_release_is_there_after_the_migration(
    dump: Path, database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    file = restored(dump, tmp_path)
    url = f"sqlite:///{file}"
    if database == "postgresql":
        url = request.getfixturevalue("server").database()
        on_postgresql(file, url)
    with pytest.raises(LedgerError, match="`sailplane up` brings it up to date"):
        Ledger(url)
    ledger = Ledger.create(url)

    (third, second, first) = versions(ledger, NEWEST)
    assert (first.aliases, second.aliases, third.aliases) == (("previous",), ("champion",), ("challenger",))
    champion = alias(ledger, NEWEST, "champion")
    assert champion == second.model
    assert not any(one.rolled_back for one in versions(ledger, NEWEST))
    promote(ledger, NEWEST, third.model.version)
    with ledger.begin() as connection:
        assert aliases_of(connection, NEWEST)["previous"] == second.model.version
        mark(connection, NEWEST, second.model.version, "ada", 0.0)
        assert aliases_of(connection, NEWEST)["previous"] == first.model.version, "the order in which they served"
    assert champion.metrics == {"auc": 0.71}
    assert champion.lineage
    assert champion.lineage.dataset.rows == 4032
    assert champion.evaluation
    assert champion.evaluation.approval
    assert (champion.evaluation.approval.by, champion.evaluation.champion) == ("ada", first.model.version)
    day = datetime(2026, 2, 28, tzinfo=UTC)
    (judged,) = verdicts(ledger, "toy", Interval(start=day, end=day + timedelta(days=1)))
    assert judged.evaluation == champion.evaluation
    assert [(trial.state, trial.score, trial.values) for trial in results.trials(ledger, "toy/s")] == [
        ("finished", 0.6, (0.5,)),
        ("failed", None, ()),
        ("running", None, (0.4,)),
    ]
    assert results.job(ledger, "toy/s") == {"sweep": "toy/s", "model": "toy"}
    (deployed,) = deployments(ledger)
    assert deployed.weights == {second.model.version: 90, third.model.version: 10}
    rollout = records.active(ledger, NEWEST)
    assert rollout
    assert (rollout.state.stage, rollout.plan.steps) == ("baking 0", (10, 100))
    assert [one.after for one in records.decisions(ledger, NEWEST, third.model.version)] == ["starting", "baking 0"]
    with ledger.begin() as connection:
        counts = {
            name: connection.scalar(sa.select(sa.func.count()).select_from(metadata.tables[name]))
            for name in ("api_keys", "insights", "shares", "stops")
        }
        assert set(counts.values()) == {1}
        assert connection.scalar(sa.select(identity.c.written_by)) == __version__
    assert len(ledger.id) == 32


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))])
def test_uris_of_an_earlier_release_become_relative_to_the_store(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    [dump] = [dump for dump in LEDGERS if dump.stem == "2026-11-23"]
    file, root = restored(dump, tmp_path), "file:///tmp/store-of-23-november/store"
    url = f"sqlite:///{file}"
    if database == "postgresql":
        url = request.getfixturevalue("server").database()
        on_postgresql(file, url)
    ledger = Ledger.create(url)
    assert "store:///models/toy/" in rows(ledger)
    assert root not in rows(ledger)

    # The ledger as `up` finds it if the migration could not tell which store is the current one.
    with ledger.begin() as connection:
        for row in connection.execute(sa.select(models)).all():
            whole = sa.type_coerce(sa.literal(replaced(row.record, "store://", root), sa.JSON), sa.JSON)
            this = (models.c.name == row.name) & (models.c.version == row.version)
            connection.execute(sa.update(models).where(this).values({models.c.record: whole}))
    assert root in rows(ledger)
    with ledger.begin() as connection:
        assert make_relative(connection, "file:///tmp/another/store") == 0
        assert make_relative(connection, root) == 3
    assert root not in rows(ledger)


def rows(ledger: Ledger) -> str:
    """Returns the rows as the database has them."""
    with ledger.begin() as connection:
        tables = ("models", "evaluations", "trials")
        return str([connection.execute(sa.text(f"SELECT * FROM {table}")).all() for table in tables])  # noqa: S608


def test_opening_never_makes_a_ledger(tmp_path: Path) -> None:
    file = tmp_path / "legder.db"
    with pytest.raises(LedgerError, match=r"legder\.db: there is no such file\. .*sailplane ledger restore"):
        Ledger(f"sqlite:///{file}")
    assert not file.exists()
    file.touch()
    with pytest.raises(LedgerError, match="holds no ledger"):
        Ledger(f"sqlite:///{file}")


@pytest.mark.needs("postgresql")
def test_an_empty_database_of_postgresql_holds_no_ledger(server: PostgreSQL) -> None:
    with pytest.raises(LedgerError, match="the database holds no ledger"):
        Ledger(server.database())


def read_all(url: str) -> None:
    with Ledger(url).begin() as connection:
        for table in metadata.sorted_tables:
            connection.execute(sa.select(table)).all()


@pytest.mark.slow
@pytest.mark.parametrize("length", [1, 100, 5000, 30_000])
def test_a_truncated_file_is_named_with_the_remedies(length: int, tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    Ledger.create(f"sqlite:///{file}").engine.dispose()
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(file.read_bytes()[:length])
    with pytest.raises(LedgerError) as refused:
        read_all(f"sqlite:///{damaged}")
    # SQLite takes a file of one byte for an empty database.
    assert refused.value.reason == ("missing" if length == 1 else "damaged")
    assert str(damaged) in str(refused.value)
    for remedy in ("sailplane ledger restore", "sailplane ledger rebuild", "sailplane ledger init"):
        assert remedy in str(refused.value)


def test_a_ledger_that_is_deleted_meanwhile_is_missing_and_no_write_is_lost(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    ledger = Ledger.create(f"sqlite:///{file}")
    for part in tmp_path.iterdir():
        part.unlink()
    with pytest.raises(LedgerError, match="there is no such file"), ledger.begin():
        raise AssertionError("a transaction on a file that is gone")
    other = Ledger.create(f"sqlite:///{tmp_path / 'other.db'}")
    found = other.id
    other.engine.dispose()
    (tmp_path / "other.db").rename(file)
    with ledger.begin() as connection:
        assert connection.scalar(sa.select(identity.c.id)) == found


def test_a_ledger_of_a_newer_release_is_refused_by_name(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    ledger = Ledger.create(url)
    with ledger.begin() as connection:
        connection.exec_driver_sql("UPDATE ledger_revision SET version_num = '9999'")
        connection.execute(sa.update(identity).values(written_by="7.0"))
    schema._good.clear()
    for opening in (Ledger, Ledger.create):
        with pytest.raises(LedgerError, match=r"revision 9999, written by sailplane 7\.0.*Install that version"):
            opening(url)


def test_a_dropped_index_is_made_again_and_a_dropped_column_is_named(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    ledger = Ledger.create(url)
    with ledger.begin() as connection:
        connection.exec_driver_sql("DROP INDEX trials_by_lease")
    Ledger.create(url)
    with ledger.begin() as connection:
        assert "trials_by_lease" in {index["name"] for index in sa.inspect(connection).get_indexes("trials")}
        connection.exec_driver_sql("ALTER TABLE trials DROP COLUMN score")
    with pytest.raises(LedgerError, match=r"column trials\.score missing"):
        Ledger.create(url)


@pytest.mark.parametrize("statement", ["DROP INDEX trials_by_lease", "DROP TABLE insights"])
def test_the_first_migration_makes_what_an_old_ledger_lacks(statement: str, tmp_path: Path) -> None:
    file = restored(LEDGERS[0], tmp_path)
    with sqlite3.connect(file) as connection:
        connection.execute(statement)
    connection.close()
    assert len(versions(Ledger.create(f"sqlite:///{file}"))) == 3


def test_an_old_ledger_without_a_column_is_left_as_it_was(tmp_path: Path) -> None:
    file = restored(LEDGERS[0], tmp_path)
    with sqlite3.connect(file) as connection:
        connection.execute("DROP INDEX trials_by_lease")
        connection.execute("ALTER TABLE trials DROP COLUMN lease_until")
    connection.close()
    before = sqlite3.connect(file)
    tables = before.execute("SELECT sql FROM sqlite_master").fetchall()
    with pytest.raises(LedgerError, match=r"column trials\.lease_until"):
        Ledger.create(f"sqlite:///{file}")
    assert before.execute("SELECT sql FROM sqlite_master").fetchall() == tables
    before.close()


def create(url: str) -> None:
    Ledger.create(url)


@pytest.mark.slow
def test_two_processes_that_make_it_at_once_make_one(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    spawn = multiprocessing.get_context("spawn")
    makers = [spawn.Process(target=create, args=(url,)) for _ in range(2)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join(60)
    assert [maker.exitcode for maker in makers] == [0, 0]
    with Ledger(url).begin() as connection:
        assert len(connection.execute(sa.select(identity)).all()) == 1
