"""Alert rules, their tests and their runbook pages say the same, of metrics that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer

from exporter.metrics.catalogue import PREFIX
from exporter.model.component import Component
from exporter.model.hold import HoldReason
from tests.alerts import (
    ALERTMANAGER,
    INDEX,
    ROOT,
    TEST_FILES,
    Alert,
    alerts,
    load,
    pages,
    rules,
    table,
)
from tests.documents import own_commands, parse, shell_lines
from tests.queries import RECORDED, check_names

HEADINGS = ["Meaning", "Impact", "Diagnosis", "Repair"]
SEVERITIES = {"critical", "warning", "info"}
ALERTS = [pytest.param(alert, id=alert.name) for alert in alerts()]
PAGES = [pytest.param(page, id=page.stem) for page in pages()]

HELD = "policy_held_since_timestamp_seconds"
USAGE_ERROR = typer.BadParameter.__mro__[1]
"""What every wrong command line raises; typer has no public name for it."""
NORMAL_FOR_EVER = {"mode_off", "not_owner", "paused", "observing"}
ALERTED_AS_SOMETHING_ELSE = {
    "awaiting_approval": "approvals_pending",
    "breaker_open": "breaker_open",
}


def _queries(rule: dict[str, object]) -> Iterator[str]:
    """The expression, and queries within annotations."""
    yield str(rule["expr"])
    annotations = rule.get("annotations")
    for text in annotations.values() if isinstance(annotations, dict) else ():
        for query in re.findall(r'printf "((?:[^"\\]|\\.)*)"', text):
            yield query.replace('\\"', '"').replace("%q", '"x"')


RULES = [pytest.param(rule, id=rule.get("alert") or rule["record"]) for rule in rules()]


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_names_only_metrics_labels_and_values_that_exist(rule: dict[str, object]) -> None:
    """What a rule asks for is in the catalogue; a name that is mistyped would never fire."""
    asked = [check_names(query) for query in _queries(rule)]
    assert any(asked)


def test_recording_rules_are_named_here_as_they_are() -> None:
    """The labels of recorded series are known for each of them, and for nothing else."""
    assert RECORDED.keys() == {rule["record"] for rule in rules() if "record" in rule}


def test_names_are_unique_and_share_their_first_word() -> None:
    """An alert is found by its name alone; nothing else is called RestateMedic…"""
    names = [alert.name for alert in alerts()]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"RestateMedic[A-Z][A-Za-z]+", name) for name in names)


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_says_what_people_need(alert: Alert) -> None:
    """Severity, summary, description and page; policies know it for restate-medic's own."""
    assert alert.severity in SEVERITIES
    assert alert.labels["generated_by"] == "restate-medic"
    assert set(alert.annotations) == {"summary", "description", "runbook_url"}
    assert alert.annotations["summary"].endswith(".")
    assert "{{" not in alert.annotations["summary"], "a summary stands in the table"
    base = "{{ with $externalLabels.runbooks }}{{ . }}/{{ else }}docs/runbooks/{{ end }}"
    assert alert.annotations["runbook_url"] == f"{base}{alert.name}.md"


@pytest.mark.parametrize("component", [*Component])
def test_each_component_has_an_alert(component: str) -> None:
    """What is not well with a component is said by some alert, whichever component it is."""
    asking = [a.name for a in alerts() if f'component="{component}"' in a.expr]
    assert asking


def test_each_hold_reason_is_alerted_on_or_known_to_be_normal() -> None:
    """A reason that is new must be given a thought: how long may it last?"""
    text = "\n".join(a.expr for a in alerts())
    asked = {
        reason
        for found in re.findall(HELD + r'\{reason=~?"([^"]*)"', text)
        for reason in found.split("|")
    }
    elsewhere = {r for r, metric in ALERTED_AS_SOMETHING_ELSE.items() if PREFIX + metric in text}
    assert elsewhere == set(ALERTED_AS_SOMETHING_ELSE)
    assert asked | elsewhere | NORMAL_FOR_EVER == set(HoldReason)
    assert not asked & NORMAL_FOR_EVER
    page = (INDEX.parent / "RestateMedicPolicyHeldTooLong.md").read_text()
    named = set(re.findall(r"`(\w+)`", page)) | {r for r in HoldReason if r.startswith("limit_")}
    assert set(HoldReason) <= named


@cache
def _cases() -> list[dict[str, object]]:
    groups = (group for file in TEST_FILES for group in load(file)["tests"])
    return [case for group in groups for case in group["alert_rule_test"]]


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(alert: Alert) -> None:
    """`promtool test rules` looks at both sides of every alert."""
    cases = [bool(c.get("exp_alerts")) for c in _cases() if c["alertname"] == alert.name]
    assert True in cases, "no case in which it fires"
    assert False in cases, "no case in which it does not"


def test_each_alert_has_its_page_and_each_page_its_alert() -> None:
    """Who is woken finds a page; no page is about something that never wakes anybody."""
    assert {page.stem for page in pages()} == {alert.name for alert in alerts()}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_four_parts_and_commands_that_exist(page: Path) -> None:
    """Meaning, impact, diagnosis, repair; every `restate-medic …` of it can be typed as it is."""
    text = page.read_text()
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    title, *headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    assert title == page.stem
    assert headings == HEADINGS
    for arguments in own_commands(text):
        parse(arguments)


def test_a_command_that_does_not_exist_would_be_noticed() -> None:
    """The check above can fail: on commands, options and arguments."""
    for wrong in (["mend"], ["doctor", "--all"], ["recover", "OnlyService"]):
        with pytest.raises(USAGE_ERROR):
            parse(wrong)
    page = "`restate-medic pause --all`\n```sh\nrestate-medic why A  # because\n```"
    assert own_commands(page) == [["why", "A"], ["pause", "--all"]]


def test_pages_look_for_words_that_the_log_has() -> None:
    """What a page greps the journal for is an event that is written somewhere."""
    source = "".join(file.read_text() for file in (ROOT / "exporter").rglob("*.py"))
    lines = (line for page in pages() for line in shell_lines(page.read_text()))
    looks = (line for line in lines if "journalctl" in line and "grep" in line)
    events = {event for line in looks for event in re.findall(r"\w+\.\w+", line)}
    assert events
    assert {e for e in events if f'"{e}"' not in source} == set()


def test_the_index_lists_every_alert() -> None:
    """Name, severity and summary are those of the rules."""
    wanted = table(list(alerts()))
    assert wanted in INDEX.read_text(), f"write into {INDEX.relative_to(ROOT)}:\n{wanted}"


def test_the_readme_lists_what_pages() -> None:
    """README has the critical alerts in a table, and leads to all others."""
    wanted = table([a for a in alerts() if a.severity == "critical"], folder="docs/runbooks/")
    text = (ROOT / "README.md").read_text()
    assert wanted in text, f"write into README.md:\n{wanted}"
    assert "docs/runbooks/README.md" in text


def test_alertmanager_inhibits_only_alerts_that_exist() -> None:
    """A name that is mistyped in an inhibition would silently inhibit nothing."""
    named = set(re.findall(r"RestateMedic\w+", ALERTMANAGER.read_text()))
    assert named <= {alert.name for alert in alerts()}
