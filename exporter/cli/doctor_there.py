"""What ``doctor --url`` shows: targets as a daemon last saw them."""

from __future__ import annotations

from datetime import datetime, timedelta

from rich.markup import escape

from exporter.app.open import utc_now
from exporter.cli.office.office import Where
from exporter.cli.office.open import open_there
from exporter.cli.output import STYLE, Exit, columns, lay_out
from exporter.model.component import Component, Status
from exporter.model.duration import format_duration
from exporter.wire.targets import ComponentBody, TargetDetail

_SECOND = timedelta(seconds=1)
_FINE = frozenset({Status.OK, Status.OFF})
_BOTH = frozenset({Component.INGRESS, Component.ADMIN})


async def look(where: Where, target: str | None) -> tuple[TargetDetail, ...]:
    """One target, or all of them."""
    async with open_there(where) as there:
        return await there.targets(target)


def show(seen: TargetDetail) -> None:
    """One target as a table."""
    table = columns("component", "status", "latency", "read", "what it said", fold="what it said")
    table.title, table.title_justify = f"target {escape(seen.name)}", "left"
    for one in seen.components:
        latency = "" if one.latency_ms is None else f"{one.latency_ms:.0f} ms"
        said = ": ".join(str(part) for part in (one.reason, one.error) if part)
        status = f"[{STYLE[one.status]}]{one.status}[/]"
        table.add_row(str(one.component), status, latency, _read(one), escape(said))
    lay_out(table, "")


def code_of(seen: tuple[TargetDetail, ...]) -> Exit:
    """0 when all are ok, 1 when one is not, 3 when one has neither ingress nor admin."""

    def down(one: TargetDetail) -> bool:
        gone = {c.component for c in one.components if c.status is Status.UNREACHABLE}
        return gone >= _BOTH

    if any(down(one) for one in seen):
        return Exit.UNREACHABLE
    fine = all(c.status in _FINE for one in seen for c in one.components)
    return Exit.FINE if fine else Exit.UNHEALTHY


def _read(one: ComponentBody) -> str:
    if one.read_at is None:
        return "never"
    age = utc_now() - datetime.fromisoformat(one.read_at)
    return f"{format_duration(age - age % _SECOND)} ago"
