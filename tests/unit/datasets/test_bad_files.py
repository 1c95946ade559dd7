from __future__ import annotations

import gzip
from datetime import timedelta

import pytest

from sailplane.datasets.files import Files
from sailplane.errors import ConfigurationError, DataError, StorageError
from sailplane.records import Interval
from sailplane.storage.store import Storage
from tests.unit.datasets.conftest import by_day, packed, write

DAY = timedelta(days=1)
DAILY = "{data_interval_start:%Y-%m-%d}"
HEADER = b"time,distance,carrier,seats,late\n"
ROW = b"2024-02-26T06:00:00Z,1.5,AA,150,true\n"


def test_bad_values_are_quarantined_with_the_reason(folder, schema, ingested, week, quarantine):
    day = Interval(start=week.start, end=week.start + DAY)
    bad = b"when,2,AA,150,\n2024-02-26,far,AA,150,\n2024-02-26,2,AA,1.5,\n2024-02-26,2,AA,,perhaps\n"
    (folder / "a.csv").write_bytes(HEADER + ROW + bad)
    json = b'{"time": "2024-02-26T06:00:00Z", "distance": 1.5, "carrier": "AA"}\n'
    odd = [b'"seats": 1.5', b'"late": "perhaps"', b'"carrier": 5', b'"distance": {"km": 1}', b'"time": 1708905600']
    (folder / "a.jsonl").write_bytes(json + b"".join(json.replace(b"}", b", " + key + b"}") for key in odd))
    dataset = ingested(Files(f"{folder.as_uri()}/a.*", schema=schema, time="time"), day)
    assert (dataset.rows, dataset.quarantined) == (2, 9)
    (frame,) = quarantine().values()
    assert [reason.partition(":")[0] for reason in frame["reason"]] == [
        *("time", "distance", "seats", "late"),
        *("seats", "late", "carrier", "distance", "time"),
    ]


BROKEN = [
    ("a.csv", HEADER + ROW + b"2024-02-26,1\n", "Expected 5 columns, got 2"),
    ("a.csv", HEADER + b'2024-02-26,1,"AA,1,true\n' + ROW, "Expected 5 columns, got 3"),
    ("a.csv", HEADER + ROW + b'2024-02-26,1,AA,1,"true\n' + ROW, "a quote is not closed"),
    ("a.csv", HEADER + b"2024-02-26,1,\xff\xfe,1,true\n", "invalid UTF8"),
    ("a.csv", (HEADER + ROW).decode().encode("utf-16"), "it is UTF-16; expected UTF-8"),
    ("a.csv.gz", gzip.compress(HEADER + ROW * 100)[:-20], "Truncated compressed stream"),
    ("a.csv.gz", HEADER + ROW, "zlib inflate failed: incorrect header check"),
    ("a.csv.zst", packed(HEADER + ROW * 100, ".zst")[:-5], "Truncated compressed stream"),
    ("a.tsv.zst", HEADER + ROW, "ZSTD decompress failed"),
    (
        "a.jsonl",
        b'{"time": "2024-02-26", "distance": 1, "carrier": "A"}\n{"time": "2024',
        "line 2: Unterminated string",
    ),
    ("a.jsonl", b'\n{"time": "2024-02-26", "carrier": "\\ud800"}\n', "line 2: .*surrogates not allowed"),
    ("a.jsonl", b'{"time": "\xff"}\n', "line 1: .*can't decode"),
    ("a.json", b'[{"time": "2024-02-26"}]', "line 1: list; expected one JSON object a line"),
    ("a.json.gz", gzip.compress(b"\n" + b"[" * 100_000 + b"\n"), "line 2: maximum recursion depth"),
    ("a.parquet", b"", "Parquet file size is 0 bytes"),
    ("a.parquet", b"PAR1 is not enough PAR1", "(Parquet|thrift|Couldn't deserialize)"),
]


@pytest.mark.parametrize(("name", "content", "reason"), BROKEN, ids=[f"{case[0]}-{case[2]}" for case in BROKEN])
def test_a_broken_file_is_one_line_with_its_name_and_the_reason(name, content, reason, folder, files, source, days):
    write(folder / "0.csv", source)
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=f"read {folder.as_uri()}/{name}: .*{reason}.*Write the file again") as caught:
        files("[0a].*", *days)
    assert "\n" not in str(caught.value)


def test_a_line_without_an_end_is_not_collected_for_ever(folder, files, days, monkeypatch):
    monkeypatch.setattr("sailplane.datasets.text.BLOCK_BYTES", 1000)
    monkeypatch.setattr("sailplane.datasets.read_json.LONGEST_LINE", 4000)
    (folder / "a.json").write_bytes(b"[" + b'{"time": 1},' * 1000 + b"]")
    with pytest.raises(DataError, match="a line of more than"):
        files("a.json", *days)


WRONG_COLUMNS = [
    (
        "a.csv",
        b"time,distance,carrier,late\n",
        r"the column 'seats' is missing; expected the column once; it has 'time', 'dist",
    ),
    (
        "a.csv",
        b"time;distance;carrier;seats;late\n",
        "the column 'time' is missing; .* 'time;distance;carrier;seats;lat",
    ),
    ("a.tsv", HEADER.replace(b",", b"\t").replace(b"late", b"seats"), "the column 'seats' 2 times"),
    ("a.jsonl", b'{"time": "2024-02-26", "distance": 1}\n', "none of its 1 rows has a 'carrier'"),
    ("a.jsonl", b'{"when": "2024-02-26", "distance": 1, "carrier": null}\n', "a 'carrier' or a 'time'"),
]


@pytest.mark.parametrize(("name", "content", "says"), WRONG_COLUMNS, ids=[case[0] for case in WRONG_COLUMNS])
def test_a_file_without_a_column_is_named_with_the_column(name, content, says, folder, files, days):
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=f"read {folder.as_uri()}/{name}: .*{says}") as caught:
        files(name, *days)
    assert type(caught.value).__name__ == "SchemaError"


def test_a_parquet_file_without_a_column_is_named(folder, files, source, days):
    source.drop(columns="seats").to_parquet(folder / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet: the column 'seats' is missing"):
        files("a.parquet", *days)


@pytest.mark.parametrize("name", ["a.xlsx", "*.parquet.gz", DAILY + ".txt", "data", "a.gz"])
def test_a_suffix_of_no_known_format_is_a_wrong_pattern(name, files, days):
    with pytest.raises(ConfigurationError, match=r"the suffix of .*; expected \.parquet, or \.csv, .*\.zst"):
        files(name, *days)


def test_a_file_of_no_known_format_that_a_glob_brings_is_named(folder, files, source, days):
    by_day(folder, source, "_SUCCESS", days=7)
    by_day(folder, source, "a.csv")
    assert len(files(f"{DAILY}/*", *days)) == 28
    write(folder / "2024-02-27" / "read.me", source)
    with pytest.raises(DataError, match=r"2024-02-27/read\.me: an unknown suffix; .*like \*\.csv"):
        files(f"{DAILY}/*", *days)


def test_a_folder_that_is_not_there_is_an_error_and_is_not_made(folder, files, days):
    with pytest.raises(StorageError, match="the folder does not exist"):
        files(f"nowhere/{DAILY}.csv", *days)
    assert not (folder / "nowhere").exists()


class Watched(Storage):
    """Records the listed folders and the objects that were looked up. Calls `before_reading` first."""

    def __init__(self, root: str, before_reading=lambda _: None) -> None:
        super().__init__(root)
        self.listed: list[str] = []
        self.before_reading = before_reading

    def entries(self, prefix=""):
        self.listed.append(prefix)
        return super().entries(prefix)

    def head(self, path):
        self.listed.append(f"?{path}")
        return super().head(path)

    def stream(self, path):
        self.before_reading(path)
        return super().stream(path)


@pytest.mark.parametrize(
    ("pattern", "listed"),
    [
        (DAILY + "/*.csv", ["2024-02-26", "2024-02-27"]),
        ("{data_interval_start:%Y-%m}/*.csv", ["2024-02"]),
        ("{data_interval_start:%Y}/**/" + DAILY + ".csv", ["2024"]),
        (DAILY + "/a.csv", ["?2024-02-26/a.csv", "?2024-02-27/a.csv"]),
    ],
)
def test_only_the_folders_of_the_days_are_listed_each_once(pattern, listed, folder, files, source, week):
    by_day(folder, source, "a.csv")
    opened = []
    files(
        pattern, week.start, week.start + 2 * DAY, open_storage=lambda root: opened.append(Watched(root)) or opened[0]
    )
    assert [storage.root for storage in opened] == [folder.as_uri()]
    assert sorted(opened[0].listed) == listed


def test_a_file_that_goes_before_it_is_read_may_be_there_at_the_next_try(folder, files, source, days):
    by_day(folder, source, "a.csv")
    gone = folder / "2024-02-27" / "a.csv"
    with pytest.raises(StorageError, match=r"2024-02-27/a\.csv: it was deleted after it was listed") as caught:
        files(f"{DAILY}/*.csv", *days, open_storage=lambda root: Watched(root, lambda _: gone.unlink(missing_ok=True)))
    assert not isinstance(caught.value, DataError)


class CutOff(Storage):
    """A store whose connection is cut at the end of each file."""

    def stream(self, path):
        yield from super().stream(path)
        raise StorageError("get", self.uri(path), got="the connection was cut")


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_store_that_fails_while_a_file_is_read_is_no_broken_file(suffix, folder, files, source, days):
    write(folder / f"a.{suffix}", source)
    with pytest.raises(StorageError, match="the connection was cut"):
        files(f"a.{suffix}", *days, open_storage=CutOff)
