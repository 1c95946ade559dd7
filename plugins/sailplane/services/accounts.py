"""The accounts of Airflow's simple auth manager: names and roles are in a setting, passwords in a file, unencrypted."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sailplane.errors import ConfigurationError
from sailplane.files import locked, private_folder, replace_file
from sailplane.home import Home

USERS: Final = "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"
PASSWORDS: Final = "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"
EVERYBODY: Final = "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"
MANAGER: Final = "AIRFLOW__CORE__AUTH_MANAGER"
DEFAULT: Final = "admin:admin"
# An account without a role may log in but do nothing.
_ROLES: Final = ("admin", "op", "user", "viewer", "")


def settings(home: Home) -> dict[str, str]:
    return {USERS: DEFAULT, PASSWORDS: str(home.passwords), EVERYBODY: str(not home.login)}


def prepare(home: Home, env: Mapping[str, str] = os.environ) -> None:
    """Creates missing passwords, because Airflow itself would print them into its log."""
    file, names = _file(home, env), roles(env)
    private_folder(home.root)
    with locked(home.root / "lock"):
        known = _read(file)
        if missing := [name for name in names if name not in known]:
            replace_file(file, json.dumps({**known, **{name: secrets.token_urlsafe(18) for name in missing}}))


def roles(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Roles by account name. ConfigurationError for a setting that is not a list of name:role."""
    found: dict[str, str] = {}
    for account in (env.get(USERS) or DEFAULT).split(","):
        name, colon, rest = account.strip().partition(":")
        role = rest.partition(":")[0].lower()
        if not name or not colon or role not in _ROLES:
            expected = "name:role, separated by commas; a role is viewer, user, op or admin"
            raise ConfigurationError("read", USERS, got=repr(account), expected=expected)
        found[name] = role
    return found


def first_admin(env: Mapping[str, str] = os.environ) -> str:
    """The first admin; the commands use this account."""
    admins = [name for name, role in roles(env).items() if role == "admin"]
    if not admins:
        raise ConfigurationError("find an admin in", USERS, got=repr(env.get(USERS)), expected="name:admin among them")
    return admins[0]


def password(home: Home, name: str, env: Mapping[str, str] = os.environ) -> str:
    """The password of the account. ConfigurationError for an unknown account."""
    require(name, env)
    prepare(home, env)
    return str(_read(_file(home, env))[name])


def require(name: str, env: Mapping[str, str] = os.environ) -> None:
    if name not in roles(env):
        raise ConfigurationError("find the account", name, got="no such account", expected=" or ".join(roles(env)))


def _file(home: Home, env: Mapping[str, str]) -> Path:
    return Path(env.get(PASSWORDS) or home.passwords)


def _read(file: Path) -> dict[str, str]:
    text = file.read_text().strip() if file.exists() else ""
    try:
        return dict(json.loads(text or "{}"))
    except ValueError as error:
        remedy = f"Repair it, or remove it to give every account a new password. {error}"
        raise ConfigurationError("read the passwords in", file, got="not JSON", remedy=remedy) from error
