from __future__ import annotations

from dataclasses import replace

from sailplane.evaluation.markdown import figures
from sailplane.records import Rule
from tests.unit.evaluation.test_history import judged

EVALUATION = replace(
    judged(0).evaluation,
    metrics={"challenger": {"auc": 0.71234, "brier": 0.2}, "baseline": {"auc": 0.6}, "champion": {"auc": 0.7}},
    champion="0123456789ab",
    reasons=("passed: minimum: auc 0.7123, expected at least 0.5500",),
)


def test_every_contender_has_a_line_and_what_it_lacks_is_left_empty() -> None:
    lines = figures(EVALUATION).splitlines()
    assert lines[0] == (
        "**toy** as of 2026-10-02, trained on 2026-09-04..2026-09-18 and judged on the 7 rows of "
        "2026-09-04..2026-10-02, which it has not seen."
    )
    assert lines[2:7] == [
        "|  | auc | brier |",
        "| --- | --- | --- |",
        "| challenger | 0.7123 | 0.2000 |",
        "| baseline | 0.6000 |  |",
        "| champion 0123456789ab | 0.7000 |  |",
    ]


def test_without_rules_the_reasons_are_a_list() -> None:
    assert figures(EVALUATION).splitlines()[-1] == "- passed: minimum: auc 0.7123, expected at least 0.5500"


def test_each_rule_says_what_it_got_and_expected() -> None:
    rules = (Rule(name="slices", passed=False, got="a|b: -0.1", expected="at most\n0.05"),)
    assert figures(replace(EVALUATION, rules=rules)).splitlines()[-3:] == [
        "|  | rule | got | expected |",
        "| --- | --- | --- | --- |",
        r"| failed | slices | a\|b: -0.1 | at most 0.05 |",
    ]


def test_what_else_the_reasons_say_follows_the_rules() -> None:
    rules = (Rule(name="minimum", passed=True, got="auc 0.7123", expected="at least 0.5500"),)
    reasons = (*EVALUATION.reasons, "false promotions: at most 0.053 expected a year")
    lines = figures(replace(EVALUATION, rules=rules, reasons=reasons)).splitlines()
    assert lines[-3:] == [
        "| passed | minimum | auc 0.7123 | at least 0.5500 |",
        "",
        "- false promotions: at most 0.053 expected a year",
    ]


def test_what_would_have_changed_a_verdict_and_the_rows_by_class_are_shown() -> None:
    rules = (Rule(name="minimum", passed=True, got="1", expected="2", otherwise="would fail below auc 0.5500"),)
    told = figures(replace(EVALUATION, rules=rules, classes={"not late": 30, "late": 10}))
    assert "Rows by class: not late 30 (75.0%), late 10 (25.0%)." in told
    assert told.splitlines()[-3:] == [
        "|  | rule | got | expected | what would change it |",
        "| --- | --- | --- | --- | --- |",
        "| passed | minimum | 1 | 2 | would fail below auc 0.5500 |",
    ]


def test_the_report_is_linked_where_there_is_one() -> None:
    assert figures(EVALUATION, "/reports/1").splitlines()[-1] == "[Full report](/reports/1)"


def test_a_value_cannot_become_mark_up() -> None:
    rules = (Rule(name="<b>", passed=True, got="[x](javascript:1)", expected="`*_`"),)
    assert r"| passed | \<b\> | \[x\](javascript:1) | \`\*\_\` |" in figures(replace(EVALUATION, rules=rules))
