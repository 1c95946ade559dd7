from __future__ import annotations

from airflow.sdk import Param


def trigger_form(*, window: int, trials: int | None = None, workers: int) -> dict[str, Param]:
    """The fields of Airflow's trigger form, with this project's defaults, for `@dag(params=...)`.

    The form also has *Read again* (`refresh`) and *As of* (`as_of`), which are empty by default.

    :param window: the default number of days before the as-of: the last 7 to judge, the 7 before them to choose, the
        rest to train
    :param trials: the default number of trials; None for the number in the sweep file
    :param workers: the default number of sweep workers
    :returns: Airflow's `Param` by name

    Example::

        params = trigger_form(window=56, workers=2)
    """
    return {
        "window": Param(
            window,
            type="integer",
            minimum=15,
            maximum=3650,
            title="Window",
            description="Days before the as-of: the last 7 to judge, the 7 before them to choose, the rest to train.",
        ),
        "trials": Param(
            trials,
            type=["null", "integer"],
            minimum=1,
            maximum=10_000,
            title="Trials",
            description="The most configurations to try. A smaller run_cap takes precedence. Empty: run_cap.",
        ),
        "workers": Param(
            workers,
            type="integer",
            minimum=1,
            maximum=256,
            title="Workers",
            description="The number of trials that run at a time.",
        ),
        "refresh": Param(
            None,
            type=["null", "string"],
            title="Read again",
            description="Days to read from the source again: the last 3 (3), a day (2026-10-01), or a range "
            "(2026-10-01..2026-10-07). Empty: the days whose source has changed.",
        ),
        "as_of": Param(
            None,
            type=["null", "string"],
            format="date",
            title="As of",
            description="Data of this day and later is not read. Empty: the end of the run's data interval. "
            "A day that has not ended is refused.",
        ),
    }
