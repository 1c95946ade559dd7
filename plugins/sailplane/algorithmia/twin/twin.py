"""Shared parts of the server: the store, the ledger, and the threads that use both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, ParamSpec, TypeVar

from starlette.requests import Request

from sailplane import pairing
from sailplane.algorithmia.twin.algorithms import Algorithms
from sailplane.algorithmia.twin.api_keys import Callers, presented
from sailplane.algorithmia.twin.directories import UserDirectories
from sailplane.algorithmia.twin.files import UserFiles
from sailplane.algorithmia.twin.organizations import Organizations
from sailplane.algorithmia.twin.refusals import Refusal
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.storage.store import Storage

P = ParamSpec("P")
T = TypeVar("T")
THREADS: Final = 16
# An upload occupies its thread until it ends.
UPLOADS: Final = 64


class Twin:
    def __init__(self, home: Home, storage: Storage | None = None, ledger: Ledger | None = None) -> None:
        self.home = home
        self.storage = storage or pairing.store(home)
        self.ledger = ledger or pairing.ledger(home)
        self.callers = Callers(self.ledger)
        self.directories = UserDirectories(self.storage)
        self.files = UserFiles(self.storage, self.directories)
        self.algorithms = Algorithms(self.storage)
        self.organizations = Organizations(self.storage)
        self.threads = ThreadPoolExecutor(THREADS, thread_name_prefix="twin")
        self.uploads = ThreadPoolExecutor(UPLOADS, thread_name_prefix="upload")

    async def do(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs in a thread, because the store and the ledger may be slow."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, partial(work, *args, **kwargs))

    async def caller(self, request: Request) -> str:
        """The user of the request's key. Raises Refusal 401."""
        secret = presented(request.headers.get("Authorization", ""))
        if secret is None:
            raise Refusal(401, "authorization required")
        user = await self.do(self.callers.user, secret)
        if user is None:
            raise Refusal(401, "authorization failed: no such API key")
        return user

    def acts_for(self, caller: str, owner: str) -> bool:
        """Whether the caller owns what belongs to `owner`, a user or an organization."""
        return caller == owner or caller in self.organizations.members(owner)
