"""A home as the first `sailplane up` leaves it: with a ledger, and a store that has the same id."""

from __future__ import annotations

from sailplane import pairing
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.storage.roots import Root


def new_home(home: Home | None = None) -> Home:
    """Without an argument, the home that the environment names. A remote store is paired by its first use."""
    home = home or Home.find()
    Ledger.create(home.ledger)
    if Root.parse(home.store).scheme == "file":
        pairing.opened(home)
    return home
