"""The token that every served model requires. When the services start, it is copied into the home from the file that
SAILPLANE_TOKEN_FILE names. Servers and local clients read the copy, so all of them change at the same time."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from sailplane.errors import ConfigurationError
from sailplane.files import private_folder, replace_file
from sailplane.home import Home

# RFC 6750, 2.1. The token is sent in headers, and passes through a shell.
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")


def take_token(home: Home) -> None:
    """Copies the token into the home, or removes the copy if no token is set. Raises ConfigurationError for a file that
    cannot be read, or that holds no valid token."""
    kept = _kept(home)
    if home.token is None:
        kept.unlink(missing_ok=True)
        return
    token = _read(home.token)
    # The copy's modification time identifies the token (ModelProcess), so the same token is not written again.
    if not kept.exists() or kept.read_text() != token:
        private_folder(kept.parent)
        replace_file(kept, token)


def token_file(home: Home) -> Path | None:
    """The file of the token; None if the models require none."""
    kept = _kept(home)
    return kept if kept.exists() else None


def authorization(home: Home) -> dict[str, str]:
    """The header that a request must carry; empty if the models require no token."""
    kept = token_file(home)
    return {"Authorization": f"Bearer {kept.read_text()}"} if kept else {}


def _kept(home: Home) -> Path:
    return home.serving / "token"


def _read(file: Path) -> str:
    try:
        token = file.read_text(errors="replace").strip()
    except OSError as error:
        raise ConfigurationError("read SAILPLANE_TOKEN_FILE", file, got=error.strerror) from error
    if not _TOKEN.fullmatch(token):
        got = "no token" if not token else "other characters"
        remedy = f"`openssl rand -hex 32 > {file}` makes one."
        raise ConfigurationError(
            "read SAILPLANE_TOKEN_FILE", file, got=got, expected="letters, digits and ._~+/-", remedy=remedy
        )
    return token
