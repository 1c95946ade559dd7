from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sailplane.datasets.patterns import Pattern, folder, matcher
from sailplane.errors import ConfigurationError

DAY = datetime(2024, 2, 29, tzinfo=UTC)
START = "{data_interval_start:%Y-%m-%d}"


@pytest.mark.parametrize(
    ("text", "root", "path"),
    [
        (f"s3://bucket/flights/{START}/*.csv", "s3://bucket/flights", "2024-02-29/*.csv"),
        (f"s3://bucket/{START}.csv", "s3://bucket", "2024-02-29.csv"),
        (f"s3://bucket/a/flights-{START}.csv", "s3://bucket/a", "flights-2024-02-29.csv"),
        (f"s3://warehouse@bucket/a/{START}.csv", "s3://warehouse@bucket/a", "2024-02-29.csv"),
        ("s3://bucket/a/*/{data_interval_start:%Y/%m/%d}.csv", "s3://bucket/a", "*/2024/02/29.csv"),
        ("s3://bucket/a/all.csv", "s3://bucket/a", "all.csv"),
        ("s3://bucket/a%20b/{data_interval_end:%d}%20.csv", "s3://bucket/a%20b", "01%20.csv"),
        ("file:///data/{data_interval_start:%Y%m}-{data_interval_end:%d}.csv", "file:///data", "202402-01.csv"),
        ("file:///my%20data/{data_interval_start:%d}%20%C3%BC.csv", "file:///my%20data", "29 ü.csv"),
    ],
)
def test_a_pattern_has_a_root_and_a_path_for_each_day(text, root, path):
    pattern = Pattern.parse(text)
    assert (pattern.root, pattern.on(DAY)) == (root, path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "s3://b/{ds}/*.csv",
            r"the placeholder \{ds\}; expected \{data_interval_start:%Y-%m-%d\} or \{data_interval_e",
        ),
        ("s3://b/{}/*.csv", r"the placeholder \{\}"),
        ("s3://b/{0:%Y}/*.csv", r"the placeholder \{0:%Y\}"),
        ("s3://b/{data_interval_start.year:%Y}.csv", r"the placeholder \{data_interval_start\.year:%Y\}"),
        ("s3://b/{data_interval_start!r:%Y}.csv", r"the placeholder \{data_interval_start!r:%Y\}"),
        ("s3://b/{data_interval_start}/*.csv", r"the placeholder \{data_interval_start\}; .*format of strftime"),
        ("s3://b/{data_interval_start:YYYY-MM-DD}.csv", r"the placeholder \{data_interval_start:YYYY-MM-DD\}"),
        ("s3://b/{{ ds }}/*.csv", r"the placeholder \{ ds \}"),
        ("s3://b/{data_interval_start:%Y/*.csv", "a brace outside of a placeholder"),
        ("s3://b/a}/*.csv", "a brace outside of a placeholder"),
        (f"s3://{START}/x.csv", "no folder before the first placeholder"),
        (f"file:///{START}/x.csv", "no folder before the first placeholder"),
        (f"file://data/{START}/x.csv", "a relative path"),
        (f"s3://b/{START}/", "it ends with /"),
        (f"s3://b/{START}//x.csv", "an empty name between two /"),
        (f"s3://b/{START}/[z-a].csv", "an invalid range in brackets"),
        (f"https://b/{START}/x.csv?signature=geheim", "scheme 'https'; expected file:// or s3://"),
        (f"data/{START}/x.csv", "no scheme"),
        (f"s3://AKIA:geheim@b/{START}/x.csv", "with a user and a secret before the @"),
        (f"s3://AKIA:geh/eim@b/{START}/x.csv", "with a user and a secret before the @"),
    ],
)
def test_a_pattern_that_is_none_is_one_error_without_a_secret(text, says):
    with pytest.raises(ConfigurationError, match=f"read the pattern of files.*{says}") as caught:
        Pattern.parse(text)
    assert "geh" not in str(caught.value)


@pytest.mark.parametrize(
    ("glob", "matching", "others"),
    [
        ("d/*.csv", ["d/a.csv", "d/a b.csv"], ["d/.csv", "d/_a.csv", "d/e/a.csv", "d/a.csv.gz", "d/a.CSV", "a.csv"]),
        ("d/_*", ["d/_SUCCESS"], ["d/a"]),
        ("d/?.csv", ["d/a.csv", "d/ü.csv"], ["d/ab.csv", "d/.csv", "d//.csv"]),
        ("d/[0-9a].csv", ["d/7.csv", "d/a.csv"], ["d/b.csv", "d/[.csv"]),
        ("d/x[!0-9].csv", ["d/xa.csv"], ["d/x1.csv", "d/x/.csv"]),
        ("d/x[]^&|~].csv", ["d/x].csv", "d/x^.csv", "d/x&.csv"], ["d/xa.csv"]),
        ("d/x[*]", ["d/x*"], ["d/xy"]),
        ("d/[a", ["d/[a"], ["d/a"]),
        ("d/**/a.csv", ["d/a.csv", "d/e/a.csv", "d/e/f/a.csv"], ["d/e/b.csv", "d/.e/a.csv", "d/_t/0/a.csv", "da.csv"]),
        ("d/**", ["d/a", "d/e/a"], ["d", "d/.a", "d/_t/a"]),
        ("d/a**c", ["d/abc"], ["d/a/c"]),
        ("d+/(a).csv*", ["d+/(a).csv.gz"], ["dd/a.csv"]),
    ],
)
def test_globs_match_within_a_folder_and_two_stars_any_number_of_folders(glob, matching, others):
    assert [path for path in [*matching, *others] if matcher(glob).fullmatch(path)] == matching


@pytest.mark.parametrize(
    ("path", "listed"), [("a/b/*.csv", "a/b"), ("a/b*/c.csv", "a"), ("*.csv", ""), ("a/**/c", "a"), ("a/x[0]", "a")]
)
def test_only_the_folder_before_the_first_glob_is_listed(path, listed):
    assert folder(path) == listed
