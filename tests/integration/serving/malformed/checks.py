"""Checks that schemathesis runs besides its own. Its command loads them through SCHEMATHESIS_HOOKS."""

from __future__ import annotations

import os

import schemathesis

from tests.integration.serving.malformed.verdict import INTERNALS, Target, reason_of, strict

GOOD = Target(int(os.environ["GOOD_PORT"]), float(os.environ["GOOD_SCORE"]))


@schemathesis.check
def whole_and_answered_after(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    if 400 <= response.status_code < 500 and case.method != "HEAD":
        reason_of(response.status_code, response.content)
    elif response.headers["content-type"] == ["application/json"]:
        strict(response.content)
    assert not INTERNALS.search(response.text)
    GOOD.answers()
