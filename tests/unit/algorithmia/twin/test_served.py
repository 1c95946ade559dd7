from __future__ import annotations

from typing import Any

import pytest

from sailplane.algorithmia.twin.execution import Input
from sailplane.algorithmia.twin.refusals import Refusal, document, header_text, refused
from sailplane.algorithmia.twin.served import message, records, scores

REPLY = {"data": {"names": ["late", "early"], "ndarray": [[0.25, 0.75], [0.5, 0.5]]}, "meta": {}}


@pytest.mark.parametrize(
    ("asked", "sent", "answered"),
    [
        ({"distance": 1}, {"jsonData": {"distance": 1}}, {"late": 0.25, "early": 0.75}),
        ({"data": 1}, {"jsonData": {"data": 1}}, {"late": 0.25, "early": 0.75}),
        ([{}, {}], {"jsonData": [{}, {}]}, [{"late": 0.25, "early": 0.75}, {"late": 0.5, "early": 0.5}]),
        ({"jsonData": [{}, {}]}, {"jsonData": [{}, {}]}, REPLY),
        ({"data": {"ndarray": [[1]]}, "meta": {}}, {"data": {"ndarray": [[1]]}, "meta": {}}, REPLY),
    ],
)
def test_the_answer_has_the_form_of_what_was_asked(asked: Any, sent: Any, answered: Any) -> None:
    assert message(asked) == sent
    assert scores(asked, REPLY) == answered


def test_text_is_json_because_the_clients_command_line_sends_it_so() -> None:
    assert records(Input("text", '{"a": 1}')) == {"a": 1}


@pytest.mark.parametrize(
    ("kind", "value"), [("text", "words"), ("text", "1"), ("json", None), ("json", 1), ("binary", "AA==")]
)
def test_what_is_no_record_is_refused_with_what_is_expected(kind: str, value: Any) -> None:
    with pytest.raises(Refusal, match="expected a record") as refused:
        records(Input(kind, value))
    assert refused.value.details == {"error_type": "InputError"}


def test_a_refusal_is_said_in_the_body_and_in_one_line_of_the_header() -> None:
    error = Refusal(404, "no ☃\r\nX-Other: 1", error_type="NotFoundError")
    assert document(error)["error"] == {"message": str(error), "code": 404, "error_type": "NotFoundError"}
    assert refused(error).headers["X-Error-Message"] == header_text(str(error)) == "no \\u2603 X-Other: 1"


def test_what_nobody_foresaw_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    assert "secret" not in str(document(ValueError("secret")))
    assert "secret" in caplog.text
