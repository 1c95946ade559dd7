from __future__ import annotations

from airflow.sdk import Param


def trigger_form(*, window: int, trials: int | None = None, workers: int) -> dict[str, Param]:
    """The fields that Airflow's UI shows before a run is triggered, with this project's defaults, for
    `@dag(params=...)`.

    The form also has *Read again* (`refresh`) and *As of* (`as_of`), which are empty by default.

    :param window: the default number of days before the as-of: the last 7 judge, the 7 before them choose, the rest
        train
    :param trials: the default number of trials; None leaves it to the sweep file
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
            description="Days before the as-of: the last 7 judge, the 7 before them choose, all others train.",
        ),
        "trials": Param(
            trials,
            type=["null", "integer"],
            minimum=1,
            maximum=10_000,
            title="Trials",
            description="The most configurations that the sweep tries; a smaller run_cap counts. Empty: run_cap.",
        ),
        "workers": Param(
            workers,
            type="integer",
            minimum=1,
            maximum=256,
            title="Workers",
            description="How many trials run at a time.",
        ),
        "refresh": Param(
            None,
            type=["null", "string"],
            title="Read again",
            description="Days to read from the source again: the last 3 (3), one (2026-10-01), or several "
            "(2026-10-01..2026-10-07). Empty: those whose source has changed.",
        ),
        "as_of": Param(
            None,
            type=["null", "string"],
            format="date",
            title="As of",
            description="Nothing on or after this day is read. Empty: the end of the run's data interval. "
            "A day that has not ended is refused.",
        ),
    }
