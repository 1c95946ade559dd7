"""One-time links to the UI, as Jupyter prints them. A file in the home makes a link valid; anyone who can write there
can read the home's secrets anyway. The file contains only the digest of the link's secret, and its first use renames
it."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from sailplane.errors import ConfigurationError
from sailplane.files import private_folder, replace_file
from sailplane.home import Home

# The path below the UI's address. Browsers do not send the part after #, so no log or proxy sees the secret.
PAGE: Final = "/sailplane/login"
SECONDS: Final = 3600


class LoginRefused(ConfigurationError):
    pass


@dataclass(frozen=True)
class Login:
    """The account of a link, and the time in seconds since the epoch at which the link expires."""

    user: str
    expires: float


def issue(home: Home, user: str) -> str:
    """Creates a link and returns its secret."""
    _forget_old(home)
    secret = secrets.token_urlsafe(32)
    file = _file(private_folder(home.logins), secret)
    replace_file(file, json.dumps(asdict(Login(user, time.time() + SECONDS))))
    return secret


def redeem(home: Home, secret: str) -> str:
    """The account of the link. LoginRefused for a second use, and for a link that is unknown or has expired."""
    file = _file(home.logins, secret)
    used = file.with_suffix(".used")
    try:
        # The second of two simultaneous requests finds that the file is gone.
        file.rename(used)
    except FileNotFoundError as error:
        got = "it was used before" if used.exists() else "it is unknown, or it expired long ago"
        raise _refused(got) from error
    login = Login(**json.loads(used.read_text()))
    if login.expires < time.time():
        raise _refused("it has expired")
    return login.user


def link(base: str, secret: str) -> str:
    return f"{base.rstrip('/')}{PAGE}/#{secret}"


def base(home: Home, env: Mapping[str, str] = os.environ) -> str:
    """The UI's address."""
    return env.get("AIRFLOW__API__BASE_URL") or f"http://localhost:{home.ui_port}"


def _refused(got: str) -> LoginRefused:
    expected, remedy = f"its first use, within {SECONDS // 60} minutes", "`sailplane login` prints another link."
    return LoginRefused("log in by", "this link", got=got, expected=expected, remedy=remedy)


def _file(folder: Path, secret: str) -> Path:
    return folder / sha256(secret.encode()).hexdigest()


def _forget_old(home: Home) -> None:
    for file in home.logins.glob("*") if home.logins.exists() else ():
        try:
            if file.stat().st_mtime < time.time() - 2 * SECONDS:
                file.unlink()
        except FileNotFoundError:
            continue
