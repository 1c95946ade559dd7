"""Accounts, passwords and one-time links, without the UI."""

from __future__ import annotations

import io
import json
import re
import stat
import threading
import time
from dataclasses import replace

import pytest
from rich.console import Console

from sailplane.commands.login import announce
from sailplane.errors import ConfigurationError
from sailplane.home import Home
from sailplane.services import accounts, logins
from sailplane.services.environment import environment, prepare
from sailplane.services.launch import run
from sailplane.services.logins import LoginRefused


def test_the_first_start_makes_one_account_and_no_later_one_changes_it(home: Home) -> None:
    prepare(home)
    text = home.passwords.read_text()
    assert stat.S_IMODE(home.passwords.stat().st_mode) == 0o600
    assert list(json.loads(text)) == ["admin"]
    assert len(accounts.password(home, "admin", {})) >= 20
    prepare(home)
    assert home.passwords.read_text() == text


def test_airflow_has_the_account_and_lets_nobody_else_in(home: Home) -> None:
    env = environment(home, {})
    assert env[accounts.USERS] == "admin:admin"
    assert env[accounts.PASSWORDS] == str(home.passwords)
    assert env[accounts.EVERYBODY] == "False"
    assert environment(replace(home, login=False), {})[accounts.EVERYBODY] == "True"


def test_every_account_of_the_setting_gets_a_password_and_keeps_it(home: Home) -> None:
    env = {accounts.USERS: "ada:admin, bob:VIEWER,eve:"}
    accounts.prepare(home, {accounts.USERS: "bob:viewer"})
    before = accounts.password(home, "bob", env)
    accounts.prepare(home, env)
    assert set(json.loads(home.passwords.read_text())) == {"ada", "bob", "eve"}
    assert accounts.password(home, "bob", env) == before
    assert accounts.first_admin(env) == "ada"


@pytest.mark.parametrize("users", ["ada", "ada:root", ":admin", "ada:admin,,", "ada:admin;bob:viewer"])
def test_a_setting_that_airflow_would_fail_on_is_refused_at_once(home: Home, users: str) -> None:
    with pytest.raises(ConfigurationError, match=r"expected name:role, separated by commas"):
        accounts.prepare(home, {accounts.USERS: users})


def test_an_unknown_account_is_named(home: Home) -> None:
    with pytest.raises(ConfigurationError, match="find the account mallory: no such account; expected admin"):
        accounts.password(home, "mallory", {})
    with pytest.raises(ConfigurationError, match="expected name:admin among them"):
        accounts.first_admin({accounts.USERS: "bob:viewer"})


def test_a_file_of_passwords_that_is_no_json_is_named_and_left_alone(home: Home) -> None:
    prepare(home)
    home.passwords.write_text("{")
    with pytest.raises(ConfigurationError, match=r"passwords\.json: not JSON"):
        prepare(home)
    assert home.passwords.read_text() == "{"


def test_a_link_is_used_once_and_says_so(home: Home) -> None:
    secret = logins.issue(home, "admin")
    assert logins.redeem(home, secret) == "admin"
    with pytest.raises(LoginRefused, match=r"it was used before.*`sailplane login` prints another link"):
        logins.redeem(home, secret)
    with pytest.raises(LoginRefused, match="it is unknown"):
        logins.redeem(home, "../secrets.json")


def test_one_of_many_simultaneous_uses_of_a_link_gets_in(home: Home) -> None:
    secret, got = logins.issue(home, "admin"), []

    def use() -> None:
        try:
            got.append(logins.redeem(home, secret))
        except LoginRefused:
            got.append("")

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [*[""] * 7, "admin"]


def test_a_broken_home_is_not_reported_as_an_unknown_link(home: Home) -> None:
    home.root.mkdir()
    home.logins.touch()
    with pytest.raises(NotADirectoryError):
        logins.redeem(home, "secret")


def test_a_link_expires_and_is_forgotten(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    secret, now = logins.issue(home, "admin"), time.time()
    monkeypatch.setattr(time, "time", lambda: now + logins.SECONDS + 1)
    with pytest.raises(LoginRefused, match="it has expired"):
        logins.redeem(home, secret)
    monkeypatch.setattr(time, "time", lambda: now + 3 * logins.SECONDS)
    logins.issue(home, "admin")
    assert len(list(home.logins.iterdir())) == 1


def test_no_file_has_the_secret_of_a_link_and_no_other_user_reads_it(home: Home) -> None:
    secret = logins.issue(home, "admin")
    (file,) = home.logins.iterdir()
    assert secret not in file.name + file.read_text()
    assert (stat.S_IMODE(home.logins.stat().st_mode), stat.S_IMODE(file.stat().st_mode)) == (0o700, 0o600)
    # Browsers do not send the part after #.
    assert logins.link("http://localhost:8080/", secret) == f"http://localhost:8080/sailplane/login/#{secret}"


def test_no_ui_without_a_login_listens_where_others_reach_it(home: Home) -> None:
    with pytest.raises(ConfigurationError, match=r"without a login on 0\.0\.0\.0: expected localhost or 127\.0\.0\.1"):
        run("api-server", replace(home, login=False), {"AIRFLOW__API__HOST": "0.0.0.0"})  # noqa: S104


def test_up_prints_a_link_that_works_and_says_so_where_the_ui_was_open_before(home: Home) -> None:
    first, later = announced(home, new=False), announced(home, new=True)
    (link,) = re.findall(rf"^Log in: http://localhost:{home.ui_port}/sailplane/login/#(\S+)$", first, re.MULTILINE)
    assert logins.redeem(home, link) == "admin"
    assert "`sailplane login` prints another link" in first
    assert later.startswith("The UI now requires a login. The account is admin;")
    assert "#" not in announced(replace(home, login=False), new=False)
    assert "SAILPLANE_LOGIN=off" in announced(replace(home, login=False), new=False)


def announced(home: Home, *, new: bool) -> str:
    said = io.StringIO()
    announce(home, Console(file=said, soft_wrap=True, width=40), new=new)
    return said.getvalue()
