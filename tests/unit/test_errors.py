from __future__ import annotations

import inspect

from sailplane import errors


def test_a_message_says_what_failed_which_one_got_expected_and_the_remedy():
    error = errors.ConfigurationError(
        "read setting", "SAILPLANE_UI_PORT", got="'http'", expected="a port", remedy="Set it to 8080."
    )
    assert str(error) == "read setting SAILPLANE_UI_PORT: 'http'; expected a port. Set it to 8080."


def test_a_message_without_facts_is_still_a_sentence():
    assert str(errors.ServiceError("start", "router")) == "start router."


def test_the_drawn_tree_names_every_exception():
    drawn = errors.__doc__ or ""
    kinds = [name for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, Exception)]
    assert [name for name in kinds if name not in drawn] == []
