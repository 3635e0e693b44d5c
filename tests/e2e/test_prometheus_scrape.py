"""A real Prometheus scrapes the real web side, as text and as OpenMetrics, and can be queried."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
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
from tests.benchmarks import synthetic
from tests.doors import open_doors
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


@asynccontextmanager
async def prometheus(binary: Path, folder: Path, jobs: dict[str, str]) -> AsyncIterator[str]:
    """Prometheus with these jobs (name to address), until the block ends; gives its URL."""
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [address]}]}
            for job, address in jobs.items()
        ],
    }
    file = folder / "prometheus.yml"
    file.write_text(json.dumps(config))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        binary,
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def query(client: httpx.AsyncClient, expression: str) -> list[dict[str, Any]]:
    answer = await client.get("/api/v1/query", params={"query": expression})
    found: list[dict[str, Any]] = answer.json()["data"]["result"]
    return found


async def until_scraped(client: httpx.AsyncClient, jobs: int) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                if len(await query(client, "up == 1")) == jobs:
                    return
                problems = (await client.get("/api/v1/targets")).json()["data"]["activeTargets"]
                failed = [t["lastError"] for t in problems if t["health"] == "down"]
                assert not failed
            except (httpx.TransportError, json.JSONDecodeError):
                pass
            await asyncio.sleep(0.2)


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
        async with (
            prometheus(binary, tmp_path, jobs) as url,
            httpx.AsyncClient(base_url=url, timeout=10) as client,
        ):
            await until_scraped(client, len(jobs))
            assert metrics.answered == {Format.OPENMETRICS.content_type}
            assert text.answered == {Format.TEXT.content_type}
            assert metrics.encodings == {"gzip"}

            status = await query(client, f"{PREFIX}component_status == 1")
            assert len(status) == len(jobs) * 2 * len(Component)
            drift = f'{PREFIX}component_failure{{component="drift",reason="timeout"}}'
            assert len(await query(client, drift)) == len(jobs) * 2
            hostile = await query(
                client, f'{PREFIX}service_invocations{{restate_service=~"quo.*"}}'
            )
            names = {row["metric"]["restate_service"] for row in hostile}
            assert names == {HOSTILE.replace("\n", "�").replace("\0", "�").replace("\ud800", "�")}

            everything = f'{{__name__=~"{PREFIX}.+"}}'
            counts = await query(client, f"count by (job) ({everything})")
            samples = sum(
                line.startswith(PREFIX.encode()) for line in page.body(Format.TEXT).splitlines()
            )
            assert {row["metric"]["job"]: int(row["value"][1]) for row in counts} == dict.fromkeys(
                jobs, samples
            )
            differing = (
                f'sum without (job, instance) ({{__name__=~"{PREFIX}.+",job="text"}})'
                f' != sum without (job, instance) ({{__name__=~"{PREFIX}.+",job="openmetrics"}})'
            )
            assert await query(client, differing) == []
            quantile = f"histogram_quantile(0.5, {PREFIX}heal_duration_seconds_bucket)"
            assert len(await query(client, quantile)) == len(jobs)
