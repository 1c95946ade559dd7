"""`sailplane login`: prints a link or a password for the UI."""

from __future__ import annotations

import argparse
import os
import sys

from rich.console import Console

from sailplane.errors import ConfigurationError, ServiceError
from sailplane.home import Home
from sailplane.services import accounts, logins
from sailplane.services.airflow_api import AirflowApi
from sailplane.services.environment import prepare


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--user", metavar="NAME", help="the account (the first admin)")
    parser.add_argument("--password", action="store_true", help="print the account and its password instead of a link")
    parser.set_defaults(command=run)


def announce(home: Home, console: Console, *, new: bool) -> None:
    """Prints how to log in to the UI. `new` means that an earlier release had no login."""
    if not home.login:
        console.print("The login is off (SAILPLANE_LOGIN=off): every user of this machine is an admin of the UI.")
        return
    if new:
        account = f"The account is {accounts.first_admin()}; SAILPLANE_LOGIN=off disables the login."
        console.print(f"The UI now requires a login. {account}")
    if accounts.MANAGER in os.environ:
        return
    console.print(f"Log in: {logins.link(logins.base(home), logins.issue(home, accounts.first_admin()))}", markup=False)
    console.print("        (valid once, for an hour; `sailplane login` prints another link)")


def run(home: Home, arguments: argparse.Namespace) -> int:
    if not home.login:
        sys.stdout.write(f"No login is needed (SAILPLANE_LOGIN=off): {logins.base(home)}\n")
        return 0
    if other := os.environ.get(accounts.MANAGER):
        raise ConfigurationError("log in by", accounts.MANAGER, got=other, remedy="Use its own login page.")
    prepare(home)
    user = arguments.user or accounts.first_admin()
    accounts.require(user)
    if arguments.password:
        sys.stdout.write(f"{logins.base(home)}\naccount   {user}\npassword  {accounts.password(home, user)}\n")
        return 0
    with AirflowApi(home, timeout=5) as api:
        if api.health() is None:
            raise ServiceError("reach", api.url, got="no answer", remedy="Run `sailplane up`, which prints a link too.")
    sys.stdout.write(logins.link(logins.base(home), logins.issue(home, user)) + "\n")
    return 0
