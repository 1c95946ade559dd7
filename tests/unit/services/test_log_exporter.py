from __future__ import annotations

from sailplane.services.log_exporter import pause


def test_a_store_that_is_away_is_asked_ever_less_often_for_as_long_as_it_is() -> None:
    assert [pause(failures) for failures in (0, 1, 2, 5, 6, 10_000)] == [60, 15, 30, 240, 300, 300]
