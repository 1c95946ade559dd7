"""Makes homes as the first `sailplane up` does: with a ledger, and a store with the same id."""

from __future__ import annotations

from sailplane import pairing
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.storage.roots import Root


def new_home(home: Home | None = None) -> Home:
    """Makes the home at the path, or the home that the environment names. The first use pairs a remote store."""
    home = home or Home.find()
    Ledger.create(home.ledger)
    if Root.parse(home.store).scheme == "file":
        pairing.opened(home)
    return home
