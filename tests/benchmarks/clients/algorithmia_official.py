"""Moves files as the client's guide does; it has no settings for that.
https://github.com/algorithmiaio/algorithmia-python"""

from __future__ import annotations

from pathlib import Path

import Algorithmia
from frame import ENDPOINT, SECRET, files, measured

client = Algorithmia.client(SECRET, ENDPOINT)


def up(folder: Path, prefix: str) -> None:
    collection = client.dir(f"data://.my/{prefix}")
    if not collection.exists():
        collection.create()
    for name in files(folder):
        collection.file(name).putFile(str(folder / name))


def down(folder: Path, prefix: str) -> None:
    for file in client.dir(f"data://.my/{prefix}").files():
        (folder / file.getName()).write_bytes(file.getBytes())


measured(up, down)
