"""What rendering the overview costs, beside rendering the same targets' metrics.

Both run in this process, one after the other, on the same made-up targets, none of which is well:
that is when the page has most to say, and when it is looked at. By hand:
``python -m tests.benchmarks.page``.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import timedelta
from statistics import median

from fastapi import Request

from exporter.metrics import Exposition, Instruments, new_registry
from exporter.model.component import Component, Reason
from exporter.model.decision import Decision, Result, Subject
from exporter.model.derive import derive
from exporter.model.hold import HoldReason
from exporter.web.page.overview import TargetFilter, overview_facts
from exporter.web.page.render import Renderer
from exporter.web.recent import ROUNDS, Recent
from exporter.web.status import StandingDecision, TargetStatus, WebStatus
from tests.benchmarks import synthetic

TARGETS = 500
AIM_MS = 100.0
_POLICIES = ("re-register", "resume-paused")


@dataclass(frozen=True, slots=True)
class PageResult:
    """Medians of CPU milliseconds. ``ratio`` is the page over a round's metrics of all targets."""

    targets: int
    page_ms: float
    metrics_ms: float
    kilobytes: float

    @property
    def ratio(self) -> float:
        """Far below 1: who looks at a fleet costs it no more than its rounds do."""
        return self.page_ms / self.metrics_ms


def sick_fleet(targets: int = TARGETS) -> WebStatus:
    """Every target with a component that fails, forty rounds, and what two policies say of it."""
    recent, rows, decisions = Recent(), [], []
    names = tuple(f"target-{n:04}" for n in range(targets))
    seen = synthetic.views()
    for name in names:
        target = synthetic.target(name)
        report = synthetic.report(target, seen=seen)
        failing = synthetic.failure(target, Component.ADMIN, Reason.TIMEOUT, error="no answer")
        for number in range(ROUNDS):
            at = synthetic.START + timedelta(seconds=number)
            recent.note(target, report, at)
            if number % 7 == 0:
                report = synthetic.with_readings(report, failing)
        rows.append(TargetStatus(target, report))
        decisions += [
            StandingDecision(
                Decision(Subject(policy, name), Result.HOLD, HoldReason.STORM, detail="too many"),
                synthetic.START,
            )
            for policy in _POLICIES
        ]
    return WebStatus(
        synthetic.START + timedelta(seconds=ROUNDS),
        ready=True,
        targets=tuple(rows),
        decisions=tuple(decisions),
        recent={name: recent.of(name) for name in names},
    )


def measure(targets: int = TARGETS, repeat: int = 9) -> PageResult:
    """Render both several times over."""
    now = sick_fleet(targets)
    renderer = Renderer(version="benchmark", telemetry_path="/metrics")
    instruments = Instruments(
        registry=(registry := new_registry()),
        exposition=Exposition(registry=registry),
        version="benchmark",
    )
    instruments.configure([row.target for row in now.targets], {}, now=now.now)
    found = [(r.report, derive(r.report, r.target, now=now.now)) for r in now.targets]
    pages, metrics, size = [], [], 0
    for _ in range(repeat + 1):
        began = time.process_time()
        size = len(_overview(renderer, now))
        pages.append(time.process_time() - began)
        began = time.process_time()
        for report, findings in found:
            instruments.round_ended(report, findings, now=now.now)
        metrics.append(time.process_time() - began)
    return PageResult(
        targets, median(pages[1:]) * 1000, median(metrics[1:]) * 1000, kilobytes=size / 1000
    )


def _overview(renderer: Renderer, now: WebStatus) -> bytes:
    scope = {"type": "http", "path": "/", "query_string": b"", "headers": [], "state": {}}
    answer = asyncio.run(
        renderer.page(
            "overview.html",
            Request(scope),
            now,
            facts=lambda: overview_facts(now, TargetFilter()),
        )
    )
    return bytes(answer.body)


def main() -> None:
    """Print the result."""
    result = measure()
    print(f"the overview of {result.targets} targets, none of them well:")
    size = f"{result.kilobytes:.0f} kB"
    print(f"  rendering      {result.page_ms:8.1f} ms (aim {AIM_MS:g}), {size}")
    print(f"  their metrics  {result.metrics_ms:8.1f} ms, {result.ratio:.2f} times that")


if __name__ == "__main__":
    main()
