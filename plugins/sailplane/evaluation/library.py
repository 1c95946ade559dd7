"""The chart library of reports. The store holds one copy, which is inlined into a page when the page is read."""

from __future__ import annotations

import re
from functools import cache
from hashlib import sha256
from typing import Final

from sailplane.errors import DataError
from sailplane.storage import Storage

# Garbage collection skips this folder: later reports need the same file.
FOLDER: Final = "libraries"
# Lets a browser that opens the stored page from a local folder load the library there.
LOCAL: Final = " file:"
_TAG: Final = re.compile(rf'<script src="(?:\.\./)*({FOLDER}/plotly-[0-9a-f]{{16}}\.min\.js)"></script>')

_SCRIPT: Final = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_IS_PLOTLY: Final = re.compile(r"plotly\.js v")
# The scripts that the page's own policy allows.
_SCRIPTS: Final = re.compile(r"script-src(?: 'sha256-[^']+')+")


def source() -> str:
    """plotly.js (4.8 MB) from the installed package."""
    from plotly.offline import get_plotlyjs  # a slow import, needed only for pages

    return str(get_plotlyjs())


def path_of(script: str) -> str:
    return f"{FOLDER}/plotly-{sha256(script.encode()).hexdigest()[:16]}.min.js"


def tag(path: str, page: str) -> str:
    """The script element by which the page at `page` loads the library at `path`, both relative to the store."""
    return f'<script src="{"../" * page.count("/")}{path}"></script>'


def keep(storage: Storage) -> str:
    """Stores the installed library unless the store has it; returns its path."""
    path = _installed()
    if not storage.exists(path):
        storage.put(path, source().encode())
    return path


def inlined(storage: Storage, page: str) -> str:
    """The page with the library inlined: one file that needs neither the store nor a network. A page that contains the
    library already is returned unchanged. Raises DataError if the library is missing."""
    found = _TAG.search(page)
    if found is None:
        return page
    script = _read(storage, found[1])
    before, after = page[: found.start()].replace(f"{LOCAL};", ";", 1), page[found.end() :]
    return f"{before}<script>{script}</script>{after}"


def is_inlined(storage: Storage, page: str) -> bool:
    """Whether the stored page contains its library, as pages of earlier releases do."""
    return LOCAL.encode() not in next(storage.stream(page))[:2000]


def share(storage: Storage, page: str) -> None:
    """Moves the library out of a stored page of an earlier release into the copy that reports share. ConflictError if
    the page is being replaced."""
    etag, text = storage.head(page).etag, storage.read_text(page)
    found = next((script for script in _SCRIPT.finditer(text) if _IS_PLOTLY.search(script[1][:500])), None)
    if found is None:
        return
    path = path_of(found[1])
    if not storage.exists(path):
        storage.put(path, found[1].encode())
    before, after = text[: found.start()], text[found.end() :]
    before = _SCRIPTS.sub(rf"\g<0>{LOCAL}", before, count=1)
    storage.replace(page, f"{before}{tag(path, page)}{after}".encode(), etag)


def _read(storage: Storage, path: str) -> str:
    try:
        return storage.read_text(path, "Delete it and evaluate the run again.")
    except FileNotFoundError as error:
        if path == _installed():
            return source()
        remedy = "Evaluate the run again."
        raise DataError("read the report's library", storage.uri(path), got="it is missing", remedy=remedy) from error


@cache
def _installed() -> str:
    return path_of(source())
