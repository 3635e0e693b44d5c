"""What ``policy check`` shows: every problem, every oddity, and what was loaded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from exporter.model.operation import Window
from exporter.model.target import Target
from exporter.policy.conflicts import problems_against
from exporter.policy.load import read_policies
from exporter.policy.policy import Policy
from exporter.policy.served import Served


@dataclass(frozen=True, slots=True)
class Row:
    """One loaded policy, and the names of the targets it is about."""

    policy: Policy
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """The outcome of a check: fine when there are no problems."""

    problems: tuple[str, ...]
    notes: tuple[str, ...]
    rows: tuple[Row, ...]
    files: tuple[str, ...]


def check(
    patterns: Iterable[str | Path],
    *,
    targets: tuple[Target, ...] | None = None,
    served: Mapping[str, Served] | None = None,
    notifiers: Collection[str] = (),
    alertmanager: bool = True,
    limits: tuple[Window, ...] = (),
    base: Path | None = None,
) -> Checked:
    """Check policy files; without ``targets`` only what the files themselves can tell."""
    loaded = read_policies(patterns, limits=limits, base=base)
    problems = list(loaded.problems)
    if targets is not None:
        problems += problems_against(
            loaded.policies, targets, served or {}, notifiers, alertmanager=alertmanager
        )
    rows = tuple(
        Row(policy, tuple(t.name for t in targets or () if policy.matches(t)))
        for policy in loaded.policies
    )
    return Checked(tuple(problems), loaded.notes, rows, loaded.files)
