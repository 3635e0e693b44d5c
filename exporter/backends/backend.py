"""What a target offers: how to probe it, and the remedies it supports."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from exporter.model.component import Component
from exporter.model.findings import Findings
from exporter.model.report import Reading, Report
from exporter.model.target import Target
from exporter.model.token import Tokens
from exporter.model.wanted import Wanted
from exporter.model.work import Work
from exporter.remedies.remedy import Remedy, TargetContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One target, built once for one configuration."""

    target: Target
    probe: Callable[[Iterable[Component]], Awaitable[tuple[Reading, ...]]]
    """Read these components now, concurrently; a failing one is a failed reading."""
    due_now: Callable[[frozenset[Component]], frozenset[Component]]
    """Of what the schedule wants read, what may be read now: a slow scan stretches its interval."""
    remedies: Mapping[str, Remedy]
    context: Callable[[Findings, Callable[[], datetime]], TargetContext]
    """What a remedy works with, given the newest findings and a clock."""
    want: Callable[[Wanted], None] = lambda _wanted: None
    """What its probes read from now on beyond what is always read, where the target has it."""
    refresh_secrets: Callable[[], None]
    """Read token files again (after a reload, or when a call was unauthorized)."""
    tokens: Callable[[], Tokens] = Tokens
    """What the credentials in use tell about themselves."""
    close: Callable[[], None] = lambda: None
    """Stop what goes on beside the probes; nothing is begun after it."""
    work_of: Callable[[str, str | None, Report], Awaitable[Work]] | None = None
    """The invocations of a service, or of one of its keys; None where nobody can be asked.

    Takes a fresh report and raises CallFailedError when the server cannot tell.
    """
