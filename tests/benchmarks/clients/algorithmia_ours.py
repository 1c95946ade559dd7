from __future__ import annotations

from pathlib import Path

from frame import ENDPOINT, SECRET, files, measured

from sailplane.storage import Access, Storage


def open_storage(prefix: str) -> Storage:
    return Storage(f"data://.my/{prefix}", lambda: Access(endpoint=ENDPOINT, secret=SECRET))


def up(folder: Path, prefix: str) -> None:
    for name in files(folder):
        open_storage(prefix).put(name, folder / name)


def down(folder: Path, prefix: str) -> None:
    store = open_storage(prefix)
    for name in store.list():
        with (folder / name).open("wb") as file:
            file.writelines(store.stream(name))


measured(up, down)
