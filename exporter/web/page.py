"""The page for people: every target's components in words, and what policies are held by.

Rendered on the server, escaped, without scripts or anything from elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from exporter.model.component import WORST_FIRST, Component, Status, worst
from exporter.model.decision import Result
from exporter.model.duration import format_duration
from exporter.model.redact import redact_text
from exporter.model.target import Target
from exporter.web.reading import reading
from exporter.web.status import StandingDecision, TargetStatus, WebStatus


@dataclass(frozen=True, slots=True)
class Cell:
    """One component of one target."""

    component: Component
    status: Status
    detail: str
    """The reason or the latency, and how old the reading is."""
    error: str


@dataclass(frozen=True, slots=True)
class TargetRow:
    """One target. ``worst`` is its worst component's status."""

    target: Target
    cells: tuple[Cell, ...]
    worst: Status


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """One decision that is not clear."""

    policy: str
    target: str
    item: str
    result: str
    reason: str
    detail: str
    since: str
    since_iso: str


def page_routes(status: Callable[[], WebStatus], *, version: str, telemetry_path: str) -> APIRouter:
    """``GET /``."""
    router = APIRouter()
    environment = Environment(
        loader=PackageLoader("exporter.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("landing.html")
    style = environment.get_template("style.css").render()
    policy = _content_security_policy(style)

    @reading(router, "/", media=("text/html",))
    async def landing() -> HTMLResponse:
        now = status()
        rows = target_rows(now)
        html = template.render(
            style=Markup(style),  # noqa: S704 - our own file, not text from elsewhere
            version=version,
            telemetry_path=telemetry_path.removeprefix("/"),
            now=now,
            columns=tuple(Component),
            rows=rows,
            healthy=sum(row.worst is Status.OK for row in rows),
            decisions=decision_rows(now),
            clear=sum(s.decision.result is Result.CLEAR for s in now.decisions),
        )
        return HTMLResponse(html, headers={"Content-Security-Policy": policy})

    return router


def target_rows(status: WebStatus) -> list[TargetRow]:
    """Every target, the worst first, then by name."""
    rows = [_target_row(target, status.now) for target in status.targets]
    return sorted(rows, key=lambda r: (WORST_FIRST.index(r.worst), r.target.name))


def decision_rows(status: WebStatus) -> list[DecisionRow]:
    """Every decision that is not clear: what acts first, then what is held, oldest first."""
    rows = [s for s in status.decisions if s.decision.result is not Result.CLEAR]
    rows.sort(key=lambda s: (s.decision.result is not Result.ACT, s.since))
    return [_decision_row(standing, status.now) for standing in rows]


def _target_row(status: TargetStatus, now: datetime) -> TargetRow:
    cells = tuple(_cell(status, component, now) for component in Component)
    probed = [cell.status for cell in cells if cell.status is not Status.OFF]
    return TargetRow(status.target, cells, worst(probed))


def _cell(status: TargetStatus, component: Component, now: datetime) -> Cell:
    if component not in status.target.intervals:
        return Cell(component, Status.OFF, "", "")
    reading = status.report.readings.get(component)
    if reading is None:
        return Cell(component, Status.UNKNOWN, "not read yet", "")
    present = status.report.status(component, now)
    ago = _ago(reading.age(now))
    if present is Status.UNKNOWN:
        return Cell(component, present, f"last read {ago}", "")
    if reading.reason is not None:
        return Cell(
            component, present, f"{reading.reason}, {ago}", redact_text(reading.error or "")
        )
    latency = reading.latency_seconds
    took = "" if latency is None else f"{format_duration(timedelta(seconds=latency))}, "
    return Cell(component, present, f"{took}{ago}", "")


def _decision_row(standing: StandingDecision, now: datetime) -> DecisionRow:
    decision = standing.decision
    return DecisionRow(
        policy=decision.subject.policy,
        target=decision.subject.target,
        item=redact_text(decision.subject.item or ""),
        result=str(decision.result),
        reason=str(decision.reason or ""),
        detail=redact_text(decision.detail),
        since=_ago(now - standing.since),
        since_iso=standing.since.isoformat(timespec="seconds"),
    )


def _ago(age: timedelta) -> str:
    seconds = timedelta(seconds=max(round(age.total_seconds()), 0))
    return f"{format_duration(seconds)} ago" if seconds else "just now"


def _content_security_policy(style: str) -> str:
    """Nothing but the one inline style sheet, named by its hash."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
