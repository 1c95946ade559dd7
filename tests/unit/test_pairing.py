from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

import sailplane
from sailplane import pairing
from sailplane.errors import ConfigurationError, LedgerError
from sailplane.home import Home
from sailplane.ledger import Ledger, tables
from sailplane.services.backups import NEWEST, restore
from sailplane.services.rebuilding import rebuild
from sailplane.storage import Storage
from tests.unit.services.conftest import home  # noqa: F401

PACKAGE = Path(sailplane.__file__).parent
# These open a ledger or a store that may be missing or foreign, and write to neither before comparing them.
OPENS = {
    "pairing.py": "compares",
    "services/installation.py": "makes both",
    "services/rebuilding.py": "makes or completes the ledger of a store",
    "services/ledger_check.py": "looks at the file before it compares",
    "services/moving.py": "compares, and then opens the store that it moves to",
    "services/store_check.py": "looks into a store before it is compared",
    "training/process.py": "reads the archived code before it writes anything",
    "services/object_store.py": "opens the bucket of its health check, which is not the store",
    "services/served.py": "says what is served, also without a ledger",
}


@pytest.fixture(autouse=True)
def another_process() -> Iterator[None]:
    pairing.forget()
    yield
    pairing.forget()


@pytest.fixture
def made(home: Home) -> Home:  # noqa: F811
    Ledger.create(home.ledger)
    pairing.opened(home)
    return home


def restore_newest(home: Home) -> None:  # noqa: F811
    restore(home, NEWEST)


def elsewhere(home: Home, name: str) -> Home:  # noqa: F811
    """The same home with another ledger, which belongs to another store."""
    return replace(home, ledger=f"sqlite:///{home.root.parent / name}")


def test_a_store_without_an_id_gets_the_ledgers(made: Home) -> None:
    content = json.loads(Storage(made.store).get(pairing.IDENTITY))
    assert (content["id"], content["format"]) == (Ledger(made.ledger).id, 1)


@pytest.mark.parametrize("opening", [pairing.opened, pairing.store, pairing.ledger])
def test_two_that_do_not_match_are_refused_with_both_ids_and_both_places(made: Home, opening: object) -> None:
    wrong = elsewhere(made, "other.db")
    other = Ledger.create(wrong.ledger)
    with pytest.raises(LedgerError) as refused:
        opening(wrong)  # type: ignore[operator]
    for part in (other.id, Ledger(made.ledger).id, "other.db", made.store, "SAILPLANE_LEDGER"):
        assert part in str(refused.value)


def test_a_ledger_that_is_missing_is_not_made(made: Home) -> None:
    wrong = elsewhere(made, "legder.db")
    with pytest.raises(LedgerError, match="sailplane ledger restore"):
        pairing.opened(wrong)
    assert not (made.root.parent / "legder.db").exists()


def test_before_the_first_up_the_remedy_is_up(home: Home) -> None:  # noqa: F811
    with pytest.raises(LedgerError, match="`sailplane up` creates it"):
        pairing.opened(home)


def test_a_store_with_models_is_not_adopted_by_a_ledger_that_knows_none_of_them(home: Home) -> None:  # noqa: F811
    Ledger.create(home.ledger)
    Storage(home.store).put("models/flights/abc/manifest.json", b"{}")
    with pytest.raises(LedgerError, match="holds models that this ledger does not know: flights"):
        pairing.opened(home)
    assert not Storage(home.store).exists(pairing.IDENTITY)


def test_a_model_of_the_same_name_does_not_make_another_ones_store_its_own(home: Home) -> None:  # noqa: F811
    with Ledger.create(home.ledger).begin() as connection:
        row = {"name": "flights", "version": "mine", "record": {}, "created": 0.0}
        connection.execute(sa.insert(tables.models).values(row))
    Storage(home.store).put("models/flights/theirs/manifest.json", b"{}")
    with pytest.raises(LedgerError, match="holds models that this ledger does not know: flights"):
        pairing.opened(home)
    Storage(home.store).put("models/flights/mine/manifest.json", b"{}")
    assert pairing.opened(home)


@pytest.mark.parametrize(
    "opening",
    [pairing.opened, pairing.store, pairing.recorded_store, pairing.store_without_ledger, rebuild, restore_newest],
)
def test_a_store_that_was_mistyped_is_neither_made_nor_taken(made: Home, opening: object) -> None:
    typo = replace(made, store=(made.root / "typo").as_uri())
    expected = rf"typo: another store; expected {made.store}, the store until now.*`sailplane store move URI`"
    with pytest.raises(ConfigurationError, match=expected):
        opening(typo)  # type: ignore[operator]
    assert not (made.root / "typo").exists()
    assert pairing.opened(made)


@pytest.mark.parametrize("found", [None, "0" * 32], ids=["no id", "another id"])
def test_an_existing_folder_is_refused_as_well_and_stays_as_it_is(made: Home, found: str | None) -> None:
    (made.root / "typo").mkdir()
    typo = replace(made, store=(made.root / "typo").as_uri())
    if found:
        pairing.write_id(Storage(typo.store), found)
    before = [entry.path for entry in Storage(typo.store).entries()]
    with pytest.raises(ConfigurationError, match="typo: another store"):
        rebuild(typo)
    assert [entry.path for entry in Storage(typo.store).entries()] == before


def test_a_copy_can_be_read_before_up_has_checked_it(made: Home) -> None:
    copy = replace(made, store=(made.root / "copy").as_uri())
    pairing.write_id(Storage(copy.store), Ledger(made.ledger).id)
    assert pairing.recorded_store(copy).root == copy.store


def test_a_link_to_the_store_is_no_other_store(made: Home, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(made.store.removeprefix("file://"))
    linked = replace(made, store=(tmp_path / "link").as_uri())
    assert pairing.opened(linked)
    assert pairing.opened(made)


def test_without_a_way_to_the_ledger_the_store_is_compared_with_the_remembered_id(made: Home) -> None:
    unreachable = replace(made, ledger="postgresql://nobody@127.0.0.1:9/ledger")
    assert pairing.store_without_ledger(unreachable).root == made.store
    another = replace(unreachable, store=(made.root / "another").as_uri())
    with pytest.raises(ConfigurationError, match="another store"):
        pairing.store_without_ledger(another)
    Storage(made.store).delete(pairing.IDENTITY)
    pairing.forget()
    with pytest.raises(LedgerError, match="the store's id is missing; this home belongs to"):
        pairing.store_without_ledger(unreachable)


def test_a_damaged_id_of_a_store_is_written_again_as_the_home_remembers_it(made: Home) -> None:
    storage, earlier = Storage(made.store), ["file:///old"]
    whole = json.loads(storage.get(pairing.IDENTITY))
    storage.put(pairing.IDENTITY, json.dumps({**whole, "earlier": earlier}).encode())
    pairing.forget()
    pairing.opened(made)
    for damaged in (b"", b"[]", b'{"format": 1, "id":', b"\xff"):
        storage.put(pairing.IDENTITY, damaged)
        pairing.forget()
        pairing.opened(made)
        mended = json.loads(storage.get(pairing.IDENTITY))
        assert (mended["id"], mended["earlier"]) == (whole["id"], earlier)


def test_an_id_from_a_backup_before_a_move_gets_the_earlier_roots_again(made: Home) -> None:
    storage = Storage(made.store)
    before = storage.get(pairing.IDENTITY)
    storage.put(pairing.IDENTITY, json.dumps({**json.loads(before), "earlier": ["file:///old"]}).encode())
    pairing.forget()
    pairing.opened(made)
    storage.put(pairing.IDENTITY, before)
    pairing.forget()
    assert pairing.opened(made)[1].path("file:///old/models/churn/0") == "models/churn/0"
    assert storage.earlier_roots() == ("file:///old",)


def test_a_damaged_id_that_nobody_remembers_is_an_error(made: Home) -> None:
    (made.root / pairing.MEMORY).unlink()
    Storage(made.store).put(pairing.IDENTITY, b"{")
    pairing.forget()
    with pytest.raises(pairing.UnreadableIdError, match=r"sailplane\.json: unreadable"):
        pairing.opened(made)


def test_a_store_of_a_newer_release_is_refused_by_name(made: Home) -> None:
    content = {"format": 2, "id": Ledger(made.ledger).id, "written_by": "7.0"}
    Storage(made.store).put(pairing.IDENTITY, json.dumps(content).encode())
    pairing.forget()
    with pytest.raises(ConfigurationError, match=r"format 2, written by sailplane 7\.0"):
        pairing.opened(made)


def opened_by_itself(tree: ast.AST) -> Iterator[str]:
    """Yields each call such as `Ledger.at(...)`, `Ledger(home.ledger)` or `Storage(home.store)`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            text = ast.unparse(node)
            if text.startswith("Ledger.at(") or (text.startswith(("Ledger(", "Storage(")) and "home" in text.lower()):
                yield text


@pytest.mark.slow
def test_nothing_else_opens_the_homes_ledger_or_store_without_the_comparison() -> None:
    found = {
        str(file.relative_to(PACKAGE)): [*opened_by_itself(ast.parse(file.read_text()))]
        for file in PACKAGE.rglob("*.py")
    }
    assert {file for file, calls in found.items() if calls} == set(OPENS)
