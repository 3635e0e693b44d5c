"""Which Restate this is: told apart by its cluster's name and by what is registered there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from exporter.model.component import Component
from exporter.model.report import Report
from exporter.model.views import AdminView, DeploymentList

MOST = 500
"""Deployments that are remembered of one target, the newest: more say nothing more."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a target was known by. The name is None where the server does not tell it."""

    cluster: str | None
    deployments: frozenset[str]
    """Ids."""


def identity_of(report: Report, now: datetime) -> Identity | None:
    """What it is known by now; None while its deployments are unknown."""
    deployments = report.view(Component.DEPLOYMENTS, DeploymentList, now)
    if deployments is None:
        return None
    admin = report.view(Component.ADMIN, AdminView, now)
    newest = sorted(deployments.items, key=lambda d: d.created_at, reverse=True)[:MOST]
    return Identity(admin.cluster if admin else None, frozenset(d.id for d in newest))


def differs(known: Identity, seen: Identity) -> str | None:
    """Why this may be another Restate, or one that was wiped; None when it is the same."""
    if known.cluster and seen.cluster and known.cluster != seen.cluster:
        return f"the cluster was {known.cluster} and is now {seen.cluster}"
    gone = known.deployments - seen.deployments
    if known.deployments and gone == known.deployments:
        count = f"{len(gone)} known deployment{'' if len(gone) == 1 else 's'}"
        return f"none of the {count} is registered any more"
    return None


def merged(known: Identity | None, seen: Identity) -> Identity:
    """What to remember: what is seen, and the name as long as nothing else is told."""
    cluster = seen.cluster or (known.cluster if known else None)
    return Identity(cluster, seen.deployments)


class Identities:
    """What each target was last seen to be, compared with what it is known by.

    A change that was seen stays until a reading shows otherwise: that the deployments cannot be
    read now is no proof that they are back.
    """

    def __init__(self) -> None:
        self._seen: dict[str, Identity] = {}
        self._change: dict[str, str | None] = {}

    def look(self, target: str, report: Report, known: Identity | None, *, now: datetime) -> None:
        """Take in a report."""
        seen = identity_of(report, now)
        if seen is not None:
            self._seen[target] = seen
        latest = self._seen.get(target)
        if latest is not None:
            self._change[target] = differs(known, latest) if known else None
        elif known is not None and known.deployments:
            self._change[target] = "its deployments were not read yet, so it may be another one"

    def change(self, target: str) -> str | None:
        """Why the target may be another Restate; None when it is the known one, or new."""
        return self._change.get(target)

    def news(self, target: str, known: Identity | None) -> Identity | None:
        """What is to be remembered of a target from now on, if that differs from what is known."""
        seen = self._seen.get(target)
        if seen is None or self._change.get(target) is not None:
            return None
        latest = merged(known, seen)
        return None if latest == known else latest

    def remembered(self) -> tuple[dict[str, Identity], dict[str, str]]:
        """By target: what it was last seen to be, and why it may be another one."""
        return dict(self._seen), {name: why for name, why in self._change.items() if why}

    def recall(self, seen: Mapping[str, Identity], changed: Mapping[str, str]) -> None:
        """Take over what ``remembered`` told."""
        self._seen |= seen
        self._change |= changed

    def forget(self, target: str) -> None:
        """Drop a target that is no longer configured."""
        self._seen.pop(target, None)
        self._change.pop(target, None)
