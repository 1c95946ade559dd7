from __future__ import annotations

from sailplane.services.follow import Line, task_lines, task_order


def instance(task: str, state: str | None, start: int | None = None, end: int | None = None) -> dict[str, object]:
    def at(second: int | None) -> str | None:
        return None if second is None else f"2026-01-01T00:00:{second:02d}+00:00"

    return {"task_id": task, "state": state, "start_date": at(start), "end_date": at(end)}


def test_tasks_are_shown_in_the_order_of_the_dag() -> None:
    tasks = [
        {"task_id": "deploy", "downstream_task_ids": []},
        {"task_id": "ingest", "downstream_task_ids": ["train"]},
        {"task_id": "train", "downstream_task_ids": ["deploy"]},
    ]
    assert task_order(tasks) == ["ingest", "train", "deploy"]


def test_a_task_that_has_no_instance_yet_waits() -> None:
    assert task_lines(["ingest"], []) == [Line("ingest", "waiting", None)]


def test_mapped_instances_are_one_line_from_the_first_start_to_the_last_end() -> None:
    instances = [instance("worker", "success", 1, 5), instance("worker", "success", 2, 9)]
    assert task_lines(["worker"], instances) == [Line("worker ×2", "success", 8)]


def test_a_mapped_task_is_as_bad_as_its_worst_instance() -> None:
    instances = [instance("worker", "success", 1, 5), instance("worker", "failed", 2, 9)]
    assert task_lines(["worker"], instances)[0].state == "failed"
