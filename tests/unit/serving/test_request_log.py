from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from sailplane.bundles.bundle import Bundle
from sailplane.serving import request_log
from sailplane.serving.request_log import MOST_BYTES, MOST_WAITING, RequestLog
from sailplane.serving.spool import LOST, SELDON, LogEntry, SpoolLimits, files, read


def entries(folder: Path) -> list[LogEntry]:
    return [entry for path in files(folder) for entry in read(path)[1]]


def add(log: RequestLog, name: str, body: bytes = b"{}") -> None:
    log.add(SELDON, name, 200, 0.001, body, np.float32([[0.5]]), {})


def test_what_is_added_is_in_the_files_after_the_end_with_the_scores_as_bytes(bundle: Bundle, tmp_path: Path) -> None:
    log = RequestLog(tmp_path, bundle, lambda *_: None)
    for number in range(300):
        add(log, str(number))
    log.close()
    found = entries(tmp_path)
    assert [one.id for one in found] == [str(number) for number in range(300)]
    assert np.frombuffer(found[0].content, "float32").tolist() == [0.5]
    [path] = files(tmp_path)
    head, _ = read(path)
    assert head is not None
    assert (head["model"], head["version"]) == ("flights", bundle.version)


def test_a_writer_that_hangs_holds_up_nobody_and_what_is_lost_is_counted_and_said_in_the_next_file(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free, dropped = threading.Event(), Counter[str]()
    write = request_log.Writer.write

    def hangs(self: request_log.Writer, given: list[LogEntry]) -> None:
        free.wait(30)
        write(self, given)

    monkeypatch.setattr(request_log.Writer, "write", hangs)
    log = RequestLog(tmp_path, bundle, lambda reason, count: dropped.update({reason: count}))
    for number in range(MOST_WAITING + 1000):
        add(log, str(number))
    # The entries that the hanging writer holds have freed their places in the queue.
    assert 1000 - 128 <= dropped["queue"] <= 1000
    free.set()
    log.close()
    found = entries(tmp_path)
    assert sum(one.kind == SELDON for one in found) == MOST_WAITING + 1000 - dropped["queue"]
    assert b'{"queue": %d}' % dropped["queue"] in [one.content for one in found if one.kind == LOST]


def test_a_body_that_is_too_large_is_counted(bundle: Bundle, tmp_path: Path) -> None:
    dropped = Counter[str]()
    log = RequestLog(tmp_path, bundle, lambda reason, count: dropped.update({reason: count}))
    add(log, "large", bytes(MOST_BYTES))
    add(log, "small")
    log.close()
    assert dropped == {"size": 1}
    assert [one.id for one in entries(tmp_path) if one.kind == SELDON] == ["small"]


def test_without_room_all_is_dropped_by_its_reason_and_nothing_raised(bundle: Bundle, tmp_path: Path) -> None:
    dropped = Counter[str]()
    log = RequestLog(tmp_path, bundle, lambda reason, count: dropped.update({reason: count}), SpoolLimits(total=10))
    add(log, "1")
    log.close()
    assert dropped == {"space": 1}
    assert entries(tmp_path) == []
