"""What deploy/prometheus and docs/runbooks say, read for tests."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
PROMETHEUS = ROOT / "deploy" / "prometheus"
ALERTMANAGER = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
RUNBOOKS = ROOT / "docs" / "runbooks"
INDEX = RUNBOOKS / "README.md"
RULE_FILES = tuple(sorted((PROMETHEUS / "rules").glob("*.rules.yaml")))
TEST_FILES = tuple(sorted((PROMETHEUS / "tests").glob("*.test.yaml")))


@dataclass(frozen=True, slots=True)
class Alert:
    """One alerting rule."""

    name: str
    expr: str
    labels: dict[str, str]
    annotations: dict[str, str]

    @property
    def severity(self) -> str:
        return self.labels.get("severity", "")


def load(file: Path) -> Any:
    return YAML(typ="safe").load(file.read_text())


def rules() -> list[dict[str, Any]]:
    """Every rule, alerting and recording, in the order of files and groups."""
    groups = (group for file in RULE_FILES for group in load(file)["groups"])
    return [rule for group in groups for rule in group["rules"]]


@cache
def alerts() -> tuple[Alert, ...]:
    return tuple(
        Alert(rule["alert"], rule["expr"], rule["labels"], rule["annotations"])
        for rule in rules()
        if "alert" in rule
    )


def pages() -> list[Path]:
    """The runbook pages, without their index."""
    return sorted(page for page in RUNBOOKS.glob("*.md") if page != INDEX)


def table(chosen: list[Alert], *, folder: str = "") -> str:
    """A Markdown table of alerts: name with a link to its page, severity, what it says."""
    rows = [
        f"| [{a.name}]({folder}{a.name}.md) | {a.severity} | {a.annotations['summary']} |"
        for a in chosen
    ]
    return "\n".join(["| alert | severity | what it says |", "|---|---|---|", *rows])
