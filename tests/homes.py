"""Makes homes as the first `sailplane up` does: with a ledger, and a store with the same id."""

from __future__ import annotations

import atexit
import shutil
import sqlite3
import tempfile
import uuid
from contextlib import closing
from functools import cache
from pathlib import Path

import sqlalchemy as sa

from sailplane import pairing
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.storage.roots import Root


def new_home(home: Home | None = None) -> Home:
    """Makes the home at the path, or the home that the environment names. The first use pairs a remote store."""
    home = home or Home.find()
    new_ledger(home.ledger)
    if Root.parse(home.store).scheme == "file":
        pairing.opened(home)
    return home


def new_ledger(url: str) -> Ledger:
    """Opens the SQLite ledger. A missing one is made as a copy, because running the migrations for each test would take
    a tenth of the time of the quick tests."""
    file = Path(sa.make_url(url).database or "")
    if file.exists():
        return Ledger(url)
    file.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(_template(), file)
    ledger = Ledger(url)
    ledger.take_id(uuid.uuid4().hex)
    return ledger


@cache
def _template() -> Path:
    """Returns the file of a new ledger, which nothing has open."""
    folder = Path(tempfile.mkdtemp(prefix="sailplane-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    Ledger.create(f"sqlite:///{folder / 'made.db'}").engine.dispose()
    file = folder / "ledger.db"
    file.touch(mode=0o600)
    with closing(sqlite3.connect(folder / "made.db")) as made, closing(sqlite3.connect(file)) as copy:
        made.backup(copy)
    return file
