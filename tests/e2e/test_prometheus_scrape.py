"""A real Prometheus scrapes the real web side, as text and as OpenMetrics, and can be queried."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.metrics import Exposition, Instruments, new_registry
from exporter.metrics.catalogue import PREFIX
from exporter.metrics.negotiation import Format
from exporter.model.component import Component, Reason
from exporter.model.decision import Decision, Mode, Result, Subject
from exporter.model.derive import derive
from exporter.model.hold import HoldReason
from exporter.model.views import InvocationGroup, InvocationsView
from exporter.web import ReloadResult, WebServer, WebStatus, build_web, listen
from lab import wait_until
from tests.benchmarks import synthetic
from tests.doors import open_doors
from tests.e2e.watching import Prometheus
from tests.support import ToolFinder

HOSTILE = 'quo"te \\ back\nnew 🦀 \0 \ud800 # HELP x'
TEXT_ONLY = b"text/plain;version=0.0.4"


def exposition() -> Exposition:
    """Two targets, one healthy with hostile names, one failing, and something of everything."""
    registry = new_registry()
    page = Exposition(registry=registry)
    instruments = Instruments(registry=registry, exposition=page, version="1.2.3", revision="abc")
    now = datetime.now(UTC)
    targets = [
        synthetic.target("local"),
        synthetic.target(HOSTILE.replace("\ud800", "").replace("\0", "")),
    ]
    instruments.configure(targets, {"re-register": Mode.ENFORCE}, now=now)
    group = InvocationGroup("dp_new", HOSTILE, "service", "invoked", None, 7, now, now)
    for target in targets:
        seen = synthetic.views(at=now)
        scan = seen[Component.INVOCATIONS]
        assert isinstance(scan, InvocationsView)
        seen[Component.INVOCATIONS] = replace(scan, groups=(*scan.groups, group))
        report = synthetic.with_readings(
            synthetic.report(target, now, seen),
            synthetic.failure(target, Component.DRIFT, Reason.TIMEOUT, now),
        )
        held = Decision(Subject("re-register", target.name), Result.HOLD, HoldReason.COOLDOWN)
        findings = derive(report, target, now=now)
        instruments.round_ended(report, findings, [held], report.readings.values(), now=now)
    instruments.decision_changed("re-register", Result.HOLD, HoldReason.COOLDOWN)
    instruments.round_lag(0.02)
    instruments.round_skipped("missed")
    instruments.heal_seconds("re-register", 31.5)
    instruments.config_reloaded(ok=True, at=now)
    return page


@pytest.fixture(scope="module")
def page() -> Exposition:
    return exposition()


def test_promtool_accepts_the_page(tool: ToolFinder, page: Exposition) -> None:
    """``promtool check metrics`` has nothing to say about names, types, units and help."""
    checked = subprocess.run(
        [tool("promtool"), "check", "metrics"],
        input=page.body(Format.TEXT),
        capture_output=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


class Watched:
    """The application, remembering the content types it answered; ``accept`` overrides requests."""

    def __init__(self, app: ASGIApp, accept: bytes | None = None) -> None:
        self._app, self._accept = app, accept
        self.answered: set[str] = set()
        self.encodings: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._accept is not None:
            others = [(k, v) for k, v in scope["headers"] if k != b"accept"]
            scope = {**scope, "headers": [*others, (b"accept", self._accept)]}

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = {k.decode(): v.decode() for k, v in message["headers"]}
                self.answered.add(headers["content-type"])
                self.encodings.add(headers.get("content-encoding", ""))
            await send(message)

        await self._app(scope, receive, noting)


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[str]:
    server = WebServer(app, listen("127.0.0.1:0"))
    await server.start()
    try:
        yield server.url.removeprefix("http://")
    finally:
        await server.stop()


def scraping(jobs: dict[str, str]) -> dict[str, Any]:
    """A configuration with these jobs, name to address."""
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [address]}]}
            for job, address in jobs.items()
        ],
    }


async def test_prometheus_scrapes_both_formats(
    tool: ToolFinder, tmp_path: Path, page: Exposition
) -> None:
    """Each series, in either format, arrives with the same labels and values and can be queried."""

    async def reload() -> ReloadResult:
        return ReloadResult()

    app = build_web(
        exposition=page,
        status=lambda: WebStatus(datetime.now(UTC), ready=True),
        reload=reload,
        **open_doors(),
    )
    metrics, text = Watched(app), Watched(app, TEXT_ONLY)
    binary = tool("prometheus")
    async with serving(metrics) as one, serving(text) as other:
        jobs = {"openmetrics": one, "text": other}
        with Prometheus(binary, tmp_path, scraping(jobs)) as prometheus:
            # Not in this thread, whose event loop answers the scrapes.
            await asyncio.to_thread(look, prometheus, page, jobs)
        assert metrics.answered == {Format.OPENMETRICS.content_type}
        assert text.answered == {Format.TEXT.content_type}
        assert metrics.encodings == {"gzip"}


def look(prometheus: Prometheus, page: Exposition, jobs: dict[str, str]) -> None:
    """Ask, once everything was scraped, for all that the page says."""
    ask = prometheus.query
    wait_until(lambda: prometheus.scraped(len(jobs)), what="scrapes", timeout_seconds=60)
    assert len(ask(f"{PREFIX}component_status == 1")) == len(jobs) * 2 * len(Component)
    drift = f'{PREFIX}component_failure{{component="drift",reason="timeout"}}'
    assert len(ask(drift)) == len(jobs) * 2
    hostile = ask(f'{PREFIX}service_invocations{{restate_service=~"quo.*"}}')
    names = {row["metric"]["restate_service"] for row in hostile}
    assert names == {HOSTILE.replace("\n", "�").replace("\0", "�").replace("\ud800", "�")}

    counts = ask(f'count by (job) ({{__name__=~"{PREFIX}.+"}})')
    samples = sum(line.startswith(PREFIX.encode()) for line in page.body(Format.TEXT).splitlines())
    found = {row["metric"]["job"]: int(row["value"][1]) for row in counts}
    assert found == dict.fromkeys(jobs, samples)
    differing = (
        f'sum without (job, instance) ({{__name__=~"{PREFIX}.+",job="text"}})'
        f' != sum without (job, instance) ({{__name__=~"{PREFIX}.+",job="openmetrics"}})'
    )
    assert ask(differing) == []
    quantile = f"histogram_quantile(0.5, {PREFIX}heal_duration_seconds_bucket)"
    assert len(ask(quantile)) == len(jobs)
