"""`sailplane datasets ...` on a dataset with corrected days."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from pandera.pandas import Column, DataFrameSchema

from sailplane.cli import main
from sailplane.datasets import ingest
from sailplane.datasets.fingerprints import Fingerprint, SourcePart
from sailplane.home import Home
from sailplane.records import Dataset, Interval
from sailplane.storage import Storage
from tests.homes import new_ledger

START = datetime(2026, 10, 1, tzinfo=UTC)
DAYS = Interval(start=START, end=START + timedelta(days=3))
SCHEMA = DataFrameSchema(
    {
        "time": Column(pd.DatetimeTZDtype("us", "UTC")),
        "order": Column(int),
        "price": Column(float, nullable=True),
        "city": Column(str),
    }
)
KEYED = DataFrameSchema(SCHEMA.columns, unique=["order"])


class Table:
    """Four orders for each day, as in a database."""

    def __init__(self) -> None:
        times = pd.date_range(START, periods=12, freq="6h", unit="us")
        self.rows = pd.DataFrame({"time": times, "order": range(12), "price": 1.5, "city": "Ulm"})

    def __call__(self, start: datetime, end: datetime) -> pd.DataFrame:
        return self.rows[(self.rows["time"] >= start) & (self.rows["time"] < end)]

    def fingerprints(self, days: tuple[datetime, ...]) -> dict[datetime, Fingerprint]:
        parts = {"orders": SourcePart(mark=str(pd.util.hash_pandas_object(self.rows).sum()), size=len(self.rows))}
        return dict.fromkeys(days, Fingerprint(about="a table", parts=parts))


@pytest.fixture(params=[SCHEMA, KEYED], ids=["without a key", "with a key"])
def schema(request: pytest.FixtureRequest) -> DataFrameSchema:
    return request.param


@pytest.fixture
def versions(home: Home, schema: DataFrameSchema, monkeypatch: pytest.MonkeyPatch) -> tuple[Dataset, Dataset]:
    """Ingests two versions. On the second day one order is cancelled, one is new, and one has another price."""
    monkeypatch.setenv("SAILPLANE_HOME", str(home.root))
    monkeypatch.setenv("SAILPLANE_PROJECT", str(home.project))
    new_ledger(home.ledger)
    table = Table()
    given = {"name": "orders", "extract": table, "schema": schema, "time": "time", "interval": DAYS}
    first = ingest(Storage(home.store), **given)
    table.rows.loc[5, "price"] = None
    table.rows.loc[6, ["order", "city"]] = [60, "Bonn"]
    return first, ingest(Storage(home.store), **given)


@pytest.fixture
def said(versions: tuple[Dataset, Dataset], capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*arguments: str, code: int = 0) -> str:
        capsys.readouterr()
        assert main(["datasets", *arguments]) == code
        answer = capsys.readouterr()
        return answer.err if code else answer.out

    return run


def test_datasets_and_their_days_are_listed(said: Callable[..., str], versions: tuple[Dataset, Dataset]) -> None:
    assert said("list").splitlines()[1].split() == ["orders", "3", "2026-10-01", "2026-10-03", "2"]
    assert json.loads(said("list", "--json"))[0]["versions"] == sorted(one.version for one in versions)
    lines = [line.split() for line in said("show", "orders").splitlines()]
    assert [line[:3] for line in lines[1:4]] == [
        ["2026-10-01", "1", "4"],
        ["2026-10-02", "2", "4"],
        ["2026-10-03", "1", "4"],
    ]
    shown = json.loads(said("show", "orders", "--from", "2026-10-02", "--to", "2026-10-02", "--json"))
    (day,) = shown["days"]
    assert (day["version"], day["why"]) == (2, "source changed: orders changed")
    assert day["source"]["about"] == "a table"


@pytest.mark.parametrize("how", ["by day", "by version of the day", "by version of the dataset"])
def test_rows_are_compared_by_their_key_where_there_is_one(
    said: Callable[..., str], versions: tuple[Dataset, Dataset], schema: DataFrameSchema, how: str
) -> None:
    named = {
        "by day": ["2026-10-02"],
        "by version of the day": ["2026-10-02@1", "2026-10-02@2"],
        "by version of the dataset": [one.version for one in versions],
    }[how]
    (found,) = json.loads(said("diff", "orders", *named, "--json"))
    keyed = schema is KEYED
    assert (found["added"], found["removed"], found["changed"]) == ((1, 1, 1) if keyed else (2, 2, 0))
    assert [row["order"] for row in found["added_rows"]] == ([60] if keyed else [5, 60])
    assert found["columns"] == ({"price": 1} if keyed else {})
    assert found["changed_rows"] == ([{"order": 5, "price": "1.5 -> None"}] if keyed else [])
    (other,) = json.loads(said("diff", "orders", *named, "--key", "order", "--rows", "0", "--json"))
    assert (other["changed"], other["added_rows"]) == (1, [])
    text = said("diff", "orders", *named, "--key", "order").splitlines()
    assert text[0] == "2026-10-02: 4 -> 4 rows: 1 rows added, 1 removed, 1 changed"
    assert text[1:3] == [
        "  changed: price in 1 rows",
        "  + time 2026-10-02 12:00:00+00:00, order 60, price 1.5, city Bonn",
    ]


def test_a_day_is_compared_with_the_version_before_that_is_left(
    said: Callable[..., str], home: Home, schema: DataFrameSchema
) -> None:
    """Garbage collection has removed version 2."""
    storage, table = Storage(home.store), Table()
    table.rows.loc[5, "city"] = "Ulm-Nord"
    ingest(storage, name="orders", extract=table, schema=schema, time="time", interval=DAYS)
    [second] = [path for path in storage.list("datasets/orders/partitions/2026-10-02") if path.endswith("_000002.json")]
    storage.delete(second)
    assert said("diff", "orders", "2026-10-02").splitlines()[0].startswith("2026-10-02: 4 -> 4 rows: ")
    assert json.loads(said("diff", "orders", "2026-10-02", "--json"))[0]["before"] == 4


def test_equal_versions_are_equal(said: Callable[..., str], versions: tuple[Dataset, Dataset]) -> None:
    assert said("diff", "orders", versions[0].version, versions[0].version) == "Both have the same rows.\n"


def test_days_are_marked_to_be_ingested_again(said: Callable[..., str], home: Home, schema: DataFrameSchema) -> None:
    told = said("refresh", "orders", "--from", "2026-10-02", "--to", "2026-12-01")
    assert told.startswith("2 days of orders, 2026-10-02 to 2026-10-03, will be ingested again by the next run")
    assert said("show", "orders").count("to be ingested again: requested by ") == 2
    assert said("refresh", "orders", "--from", "2026-10-02").startswith("1 day of orders, 2026-10-02, will be")
    sentences: list[str] = []
    given = {"name": "orders", "extract": Table(), "schema": schema, "time": "time", "interval": DAYS}
    ingest(Storage(home.store), **given, tell=sentences.append)
    assert any(one.startswith("2026-10-02 to 2026-10-03: ingested again (requested by ") for one in sentences)
    assert "to be ingested again" not in said("show", "orders")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("show", "sales"), "find dataset sales: the store has no such dataset; expected orders."),
        (("refresh", "orders", "--from", "2027-01-01"), "no day from 2027-01-01 to 2027-01-01 was ingested"),
        (
            ("refresh", "orders", "--from", "2026-10-03", "--to", "2026-10-01"),
            "read --from 2026-10-03: after --to 2026-10-01; expected a day that is not after --to.",
        ),
        (("show", "orders", "--from", "2026-10-03", "--to", "2026-10-01"), "read --from 2026-10-03: after --to"),
        (("diff", "orders", "2026-10-01"), "of 2026-10-01 of orders: there is no version before 1; expected a day"),
        (("diff", "orders", "2026-10-01@3"), "find version 3 of 2026-10-01: no such version; expected one of 1."),
        (("diff", "orders", "2026-10-09"), "find day 2026-10-09 of orders: it was not ingested"),
        (("diff", "orders", "2026-10-01@1", "2026-10-02@1"), "expected two versions of one day"),
        (("diff", "orders", "beef"), "compare beef: one version; expected two versions, or a day"),
        (("diff", "orders", "xyz", "beef"), "find version xyz of orders: there is no such version"),
        (("diff", "orders", "2026-10-02", "--key", "id"), "read --key: id; expected some of time, order, price, city"),
    ],
)
def test_a_wrong_argument_is_one_clear_error(said: Callable[..., str], arguments: tuple[str, ...], error: str) -> None:
    assert error in said(*arguments, code=1)


def test_without_a_dataset_the_list_says_what_creates_one(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SAILPLANE_HOME", str(home.root))
    assert main(["datasets", "list"]) == 0
    assert capsys.readouterr().out == "There are no datasets yet: a DAG's ingest task creates them.\n"
