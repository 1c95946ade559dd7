"""A database server that dies in the middle of a transaction and restarts fails no task."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from sailplane.algorithmia.twin import api_keys, insights
from sailplane.deployment.kubernetes import recorded
from sailplane.deployment.local.endpoint import deployments
from sailplane.deployment.rollout import records, repository
from sailplane.evaluation import history
from sailplane.ledger import Ledger
from sailplane.records import Interval
from sailplane.registry import models
from sailplane.sweep_server import tokens
from sailplane.sweeps import results
from tests.postgres import PostgreSQL
from tests.unit.ledger.test_schema import LEDGERS, NEWEST, on_postgresql, restored

pytestmark = pytest.mark.needs("postgresql")
YEAR = Interval(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2027, 1, 1, tzinfo=UTC))


def oldest(ledger: Ledger) -> models.Model:
    return models.versions(ledger, NEWEST)[-1].model


# The operations of tasks and services, each also repeated for an earlier verdict or version, as after a retry.
WORKS: dict[str, Callable[[Ledger], Any]] = {
    "id": lambda ledger: Ledger(str(ledger.engine.url)).id,
    "sweep": lambda ledger: results.read(Ledger(str(ledger.engine.url)), "toy/s"),
    "versions": lambda ledger: models.versions(ledger, NEWEST),
    "champion": lambda ledger: models.find(ledger, NEWEST),
    "alias": lambda ledger: models.alias(ledger, NEWEST, "previous"),
    "known at": lambda ledger: models.known_at(ledger, NEWEST, datetime(2027, 1, 1, tzinfo=UTC)),
    "verdicts": lambda ledger: history.verdicts(ledger, "toy", YEAR),
    "counted days": lambda ledger: history.counted_gains(
        ledger,
        models.find(ledger, NEWEST),
        "auc",
        as_of=datetime(2027, 1, 1, tzinfo=UTC),
        dag="toy",
        dag_run="another",
    ),
    "keep verdict": lambda ledger: history.keep(ledger, history.verdicts(ledger, "toy", YEAR)[0]),
    "promote": lambda ledger: models.promote(ledger, NEWEST, oldest(ledger).version),
    "deployments": deployments,
    "on clusters": recorded.on_clusters,
    "rollout": lambda ledger: records.active(ledger, NEWEST),
    "no rollout": lambda ledger: repository.refuse_while_active(ledger, "another", "a task"),
    "share": lambda ledger: tokens.share(ledger, "toy/s")[0],
    "keys": api_keys.listed,
    "insights": insights.insights,
}


@pytest.fixture(scope="module")
def ledger(server: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    url = server.database()
    on_postgresql(restored(LEDGERS[-1], tmp_path_factory.mktemp("ledger")), url)
    # The engine's own URL gives another instance the same engine.
    return Ledger(str(Ledger.create(url).engine.url))


@pytest.mark.slow
@pytest.mark.parametrize("work", WORKS.values(), ids=WORKS)
def test_what_was_begun_is_done_when_the_server_is_back(
    server: PostgreSQL, ledger: Ledger, work: Callable[[Ledger], Any]
) -> None:
    expected = work(ledger)
    struck = list[str]()

    def strike(_connection: object, _cursor: object, statement: str, *_others: object) -> None:
        if not struck and "advisory" not in statement:
            struck.append(statement)
            server.kill()
            server.start()

    sa.event.listen(ledger.engine, "before_cursor_execute", strike)
    try:
        assert work(ledger) == expected
    finally:
        sa.event.remove(ledger.engine, "before_cursor_execute", strike)
    assert len(struck) == 1
