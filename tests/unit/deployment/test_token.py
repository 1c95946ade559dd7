from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from sailplane.deployment.token import authorization, take_token, token_file
from sailplane.errors import ConfigurationError
from sailplane.home import Home


@pytest.fixture
def given(tmp_path: Path) -> Path:
    return tmp_path / "secret"


@pytest.fixture
def home(tmp_path: Path, given: Path) -> Home:
    return Home.find({"SAILPLANE_PROJECT": str(tmp_path), "SAILPLANE_TOKEN_FILE": given.name})


def test_the_token_is_taken_when_the_services_start_and_not_before(home: Home, given: Path) -> None:
    given.write_text("one\n")
    assert (token_file(home), authorization(home)) == (None, {})
    take_token(home)
    kept = token_file(home)
    assert kept
    assert home.root in kept.parents
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    given.write_text("two")
    assert authorization(home) == {"Authorization": "Bearer one"}
    take_token(home)
    assert authorization(home) == {"Authorization": "Bearer two"}
    os.utime(kept, ns=(1, 1))
    take_token(home)
    assert kept.stat().st_mtime_ns == 1, "the same token is no change"
    take_token(replace(home, token=None))
    assert (token_file(home), authorization(home)) == (None, {})


@pytest.mark.parametrize("text", ["", "\n", "two words", 'quo"te', "line\nbreak", "$(date)"])
def test_what_is_no_token_is_refused_without_being_shown(home: Home, given: Path, text: str) -> None:
    given.write_text(text)
    with pytest.raises(ConfigurationError, match=r"SAILPLANE_TOKEN_FILE .*expected letters") as refused:
        take_token(home)
    assert not text.strip() or text not in str(refused.value)
    assert token_file(home) is None


def test_a_file_that_is_not_there_is_named(home: Home, given: Path) -> None:
    with pytest.raises(ConfigurationError, match=rf"{given}: No such file"):
        take_token(home)
