from __future__ import annotations

from types import SimpleNamespace

import pytest

from sailplane.operators.job import run_name


def named(run_id: str) -> str:
    return run_name({"ti": SimpleNamespace(run_id=run_id)})


def test_airflows_own_run_ids_stay_readable_as_folders() -> None:
    assert named("scheduled__2026-11-20T00:00:00+00:00") == "scheduled__2026-11-20T00-00-00"


@pytest.mark.parametrize(
    ("one", "other"), [("a+x", "a+y"), ("a/b", "a-b"), ("../up", "-..-up"), ("a b", "a-b"), ("..", ".")]
)
def test_runs_that_a_user_names_never_share_a_folder_or_leave_it(one: str, other: str) -> None:
    assert named(one) != named(other)
    assert "/" not in named(one) + named(other)
    assert not {named(one), named(other)} & {".", ".."}
