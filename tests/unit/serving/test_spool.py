from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from sailplane.serving.spool import LogEntry, SpoolLimits, Writer, claimed, files, held_bytes, read

HEAD = {"model": "flights", "version": "v1", "inputs": [], "outputs": ["late"]}


def entry(name: str, size: int = 20) -> LogEntry:
    return LogEntry(1.0, 0.002, 200, 0, False, name, b"{" * size, b"\x00\x01\n", 7)


def held(path: Path) -> list[str]:
    return [one.id for one in read(path)[1]]


def test_what_is_written_is_read_again_whatever_bytes_it_holds(tmp_path: Path) -> None:
    wild = LogEntry(12.5, 0.25, 422, 2, True, "é\n\x00", bytes(range(256)) * 3, b"SPL1" * 9, -1)
    writer = Writer(tmp_path / "a" / "b", HEAD)
    writer.write([entry("1"), wild])
    writer.write([entry("2")])
    [path] = files(tmp_path)
    head, entries = read(path)
    assert head == {"format": 1, **HEAD}
    assert list(entries) == [entry("1"), wild, entry("2")]
    assert (path.parent.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)
    writer.close()


def test_a_file_is_taken_only_when_nobody_writes_it_any_more_and_by_one_at_a_time(tmp_path: Path) -> None:
    writer = Writer(tmp_path, HEAD)
    writer.write([entry("1")])
    [path] = files(tmp_path)
    with claimed(path) as mine:
        assert not mine
    writer.close()
    with claimed(path) as mine, claimed(path) as again:
        assert (mine, again) == (True, False)
        path.unlink()
    with claimed(path) as mine:
        assert not mine


def test_what_waits_is_measured_though_some_of_it_is_shipped_meanwhile(tmp_path: Path) -> None:
    Writer(tmp_path, HEAD).write([entry("1")])
    [path] = files(tmp_path)
    (tmp_path / "shipped.spool").symlink_to(tmp_path / "the store")
    assert held_bytes(tmp_path) == path.stat().st_size


@pytest.mark.parametrize("left", range(1, 60, 7))
def test_a_torn_end_is_passed_over(tmp_path: Path, left: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    writer = Writer(tmp_path, HEAD)
    writer.write([entry("1"), entry("2")])
    [path] = files(tmp_path)
    whole = path.stat().st_size
    writer.write([entry("3")])
    writer.close()
    os.truncate(path, whole + left)
    assert held(path) == ["1", "2"]
    assert f"the last {left} bytes are not a complete block" in caplog.text
    os.truncate(path, left)
    assert read(path)[0] is None


def test_a_block_that_was_damaged_ends_the_file(tmp_path: Path) -> None:
    writer = Writer(tmp_path, HEAD)
    writer.write([entry("1")])
    [path] = files(tmp_path)
    first = path.stat().st_size
    writer.write([entry("2")])
    writer.close()
    data = bytearray(path.read_bytes())
    data[first + 30] ^= 1
    path.write_bytes(data)
    assert held(path) == ["1"]


def test_files_are_closed_by_their_size_and_by_their_time(tmp_path: Path) -> None:
    writer = Writer(tmp_path, HEAD, SpoolLimits(bytes=400, seconds=0.0))
    for name in "abcdef":
        writer.write([entry(name, size=200)])
    assert [held(path) for path in files(tmp_path)] == [["a", "b"], ["c", "d"], ["e", "f"]]
    writer.write([entry("g")])
    writer.rotate()
    with claimed(files(tmp_path)[-1]) as mine:
        assert mine
    writer.write([entry("h")])
    assert held(files(tmp_path)[-1]) == ["h"]
    writer.close()


def test_a_file_that_the_disk_refuses_when_it_is_closed_is_followed_by_another_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = Writer(tmp_path, HEAD, SpoolLimits(seconds=0.0))
    writer.write([entry("1")])
    [path] = files(tmp_path)
    [opened] = [file for file in Path("/proc/self/fd").iterdir() if file.resolve() == path.resolve()]
    os.close(int(opened.name))
    writer.rotate()
    writer.write([entry("2")])
    writer.close()
    assert [held(one) for one in files(tmp_path)] == [["1"], ["2"]]
    assert "may be truncated: [Errno 9]" in caplog.text


def test_the_folder_holds_no_more_than_it_may_and_takes_more_once_something_is_shipped(tmp_path: Path) -> None:
    writer = Writer(tmp_path, HEAD, SpoolLimits(bytes=1000, total=3000))
    for _ in range(4):
        writer.write([entry("x", size=500)])
    with pytest.raises(OSError, match="reached its space limit") as refused:
        writer.write([entry("x", size=500)])
    assert refused.value.errno == errno.EDQUOT
    assert 2000 < sum(path.stat().st_size for path in files(tmp_path)) <= 3000
    files(tmp_path)[0].unlink()
    writer.write([entry("x", size=500)])
    writer.close()


def test_some_of_the_disk_stays_free(tmp_path: Path) -> None:
    disk = os.statvfs(tmp_path)
    # At most a twentieth of the disk is left free, so that a small disk can be used too.
    writer = Writer(tmp_path, HEAD, SpoolLimits(free=2**60))
    if disk.f_bavail * disk.f_frsize > disk.f_blocks * disk.f_frsize // 20 + 10_000:
        writer.write([entry("1")])
        assert held(files(tmp_path)[0]) == ["1"]
    else:
        with pytest.raises(OSError, match="No space left"):
            writer.write([entry("1")])
    writer.close()
