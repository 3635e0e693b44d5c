"""What the web side answers: to Prometheus, to probes of its health, to people, to strangers."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
import structlog
from prometheus_client import CollectorRegistry

from exporter.metrics import Exposition, Instruments
from exporter.metrics.negotiation import Format
from exporter.model.decision import Decision, Mode, Result, Subject, Verdict, Waiting
from exporter.model.derive import derive
from exporter.model.hold import HoldReason
from exporter.web import ReloadResult, StandingDecision, TargetStatus, WebStatus, build_web, follow
from tests.benchmarks import synthetic
from tests.doors import open_doors

START = synthetic.START
HOSTILE = "<script>alert(1)</script>"


class Site:
    """The application over a status that a test may change."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.exposition = Exposition(registry=registry)
        instruments = Instruments(registry=registry, exposition=self.exposition, version="1")
        target = synthetic.target()
        instruments.configure([target], {}, now=START)
        report = synthetic.report(target)
        instruments.round_ended(report, derive(report, target, now=START), now=START)
        self.status = WebStatus(START, ready=True, targets=(TargetStatus(target, report),))
        self.result = ReloadResult()
        self.reloads = 0
        self.app = build_web(
            exposition=self.exposition,
            status=self.read,
            reload=self.reload,
            version="9.9.9",
            **open_doors(),
        )

    def read(self) -> WebStatus:
        return self.status

    async def reload(self) -> ReloadResult:
        self.reloads += 1
        return self.result

    def client(self, peer: str = "127.0.0.1") -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, client=(peer, 1))
        return httpx.AsyncClient(transport=transport, base_url="http://medic")

    async def get(self, path: str, **headers: str) -> httpx.Response:
        async with self.client() as client:
            return await client.get(
                path, headers={k.replace("_", "-"): v for k, v in headers.items()}
            )


@pytest.fixture
def site() -> Site:
    return Site()


async def test_metrics_as_text_and_openmetrics(site: Site) -> None:
    """``/metrics`` answers in the format that was asked for, compressed when that was asked for."""
    text = await site.get("/metrics", accept_encoding="identity")
    assert text.content == site.exposition.body(Format.TEXT)
    assert text.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "content-encoding" not in text.headers
    metrics = await site.get(
        "/metrics", accept="application/openmetrics-text", accept_encoding="gzip"
    )
    assert metrics.headers["content-encoding"] == "gzip"
    assert metrics.content == site.exposition.body(Format.OPENMETRICS)


@pytest.mark.parametrize(
    "accept", ["version=abc", "application/openmetrics-text;version=abc", ";;,q=", "\xff", ""]
)
async def test_a_strange_accept_header_gets_the_text_format(site: Site, accept: str) -> None:
    """No Accept header makes the scrape fail."""
    async with site.client() as client:
        answer = await client.get("/metrics", headers=[(b"accept", accept.encode("latin-1"))])
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")


async def test_metrics_by_name(site: Site) -> None:
    """``name[]`` may be repeated and keeps only those families."""
    answer = await site.get("/metrics?name[]=restate_medic_up&name[]=restate_medic_build_info")
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    assert len(lines) == 2


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/healthy", "/-/ready", "/api/v1/decisions"])
async def test_head_is_answered(site: Site, path: str) -> None:
    """Whatever can be read can be asked for with HEAD."""
    async with site.client() as client:
        assert (await client.head(path)).status_code == 200


async def test_ready_once_every_target_had_a_round(site: Site) -> None:
    """Healthy at once; ready only later, and until then it says what it waits for."""
    site.status = replace(site.status, ready=False, waiting_for=("local",))
    assert (await site.get("/-/healthy")).status_code == 200
    waiting = await site.get("/-/ready")
    assert waiting.status_code == 503
    assert "local" in waiting.text
    site.status = replace(site.status, ready=True)
    assert (await site.get("/-/ready")).status_code == 200


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "127.8.8.8"])
async def test_reload_from_loopback(site: Site, peer: str) -> None:
    """A person on the machine may reload."""
    async with site.client(peer) as client:
        answer = await client.post("/-/reload")
    assert (answer.status_code, answer.text) == (200, "reloaded\n")
    assert site.reloads == 1


@pytest.mark.parametrize(
    ("peer", "header"),
    [
        ("10.0.0.1", ""),
        ("2001:db8::1", ""),
        ("::ffff:10.0.0.1", ""),
        ("unknown", ""),
        ("127.0.0.1", "x-forwarded-for"),
        ("127.0.0.1", "forwarded"),
        ("127.0.0.1", "origin"),
    ],
)
async def test_reload_from_elsewhere_is_refused(site: Site, peer: str, header: str) -> None:
    """Nobody else may reload, not through a proxy on the machine nor a page in a browser on it."""
    async with site.client(peer) as client:
        answer = await client.post("/-/reload", headers={header: "127.0.0.1"} if header else {})
    assert answer.status_code == 403
    assert answer.json()["code"] == "FORBIDDEN"
    assert site.reloads == 0


async def test_a_failed_reload_tells_the_problems(site: Site) -> None:
    """Every problem with its place and mend, on a line of its own, without secrets."""
    site.result = ReloadResult(("medic.yaml:3:1: no http://u:pass@h", "medic.yaml:9:2: no"))
    async with site.client() as client:
        answer = await client.post("/-/reload")
    assert answer.status_code == 500
    assert "medic.yaml:3:1: no http://REDACTED@h\nmedic.yaml:9:2: no\n" in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "NOT_FOUND"),
        ("GET", "/docs", 404, "NOT_FOUND"),
        ("GET", "/metrics/", 404, "NOT_FOUND"),
        ("GET", "/-/reload", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/metrics", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/api/v1/decisions?result=maybe", 422, "BAD_REQUEST"),
    ],
)
async def test_errors_have_one_shape(
    site: Site, method: str, path: str, status: int, code: str
) -> None:
    """Unknown paths, wrong methods and bad parameters are JSON with a code and the request's id."""
    async with site.client() as client:
        answer = await client.request(method, path, headers={"X-Request-Id": "mine-1"})
    assert answer.status_code == status
    body = answer.json()
    assert body.keys() == {"code", "message", "data", "requestId"}
    assert body["code"] == code
    assert body["requestId"] == answer.headers["x-request-id"] == "mine-1"


async def test_a_failure_of_our_own_is_logged_and_not_told(site: Site) -> None:
    """An unexpected error is a JSON 500 without its details, which the log has."""

    def broken() -> WebStatus:
        raise RuntimeError("secret detail")

    site.app = build_web(
        exposition=site.exposition, status=broken, reload=site.reload, **open_doors()
    )
    with structlog.testing.capture_logs() as logs:
        answer = await site.get("/-/ready")
    assert answer.status_code == 500
    assert answer.json()["code"] == "INTERNAL"
    assert "secret detail" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert [entry["event"] for entry in logs] == ["http.failed", "http.request"]
    assert logs[0]["log_level"] == "error"


async def test_requests_are_logged_at_debug(site: Site) -> None:
    """One debug event for each request, without its query, which may hold anything."""
    with structlog.testing.capture_logs() as logs:
        await site.get("/-/healthy?token=abc")
    (entry,) = logs
    assert entry["log_level"] == "debug"
    assert entry["event"] == "http.request"
    assert (entry["path"], entry["status"]) == ("/-/healthy", 200)


@pytest.mark.parametrize("path", ["/metrics", "/nothing", "/api/v1/decisions"])
async def test_security_headers(site: Site, path: str) -> None:
    """Every answer forbids scripts, framing, sniffing and caching."""
    headers = (await site.get(path)).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "script-src" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("given", ["a b", "x" * 65, "é", "<b>"])
async def test_a_strange_request_id_is_replaced(site: Site, given: str) -> None:
    """Only a harmless id of the caller's is repeated."""
    async with site.client() as client:
        answer = await client.get("/-/healthy", headers=[(b"x-request-id", given.encode())])
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])


def held(detail: str = "waits 2m", item: str | None = "http://u:pass@w:9080/") -> Decision:
    return Decision(
        Subject("re-register", "local", item),
        Result.HOLD,
        HoldReason.PENDING,
        detail=detail,
        mode=Mode.OBSERVE,
        remedy="force-redeploy",
        waiting=Waiting(START, {"services": (START, 3), "drift": (START, 2)}),
        values={
            "item.missing": ["Mail"],
            "services.age": timedelta(seconds=90),
            "token": "abc",
            "at": START,
        },
        verdicts=(
            Verdict(HoldReason.MODE_OFF, holds=False),
            Verdict(HoldReason.PENDING, holds=True, detail=detail, until=START),
        ),
    )


async def test_decisions_tell_every_hold(site: Site) -> None:
    """Subject, result, reason, detail, since, the values seen and every gate, free of secrets."""
    site.status = replace(site.status, decisions=(StandingDecision(held(), START),))
    (body,) = (await site.get("/api/v1/decisions")).json()["decisions"]
    assert body == {
        "policy": "re-register",
        "target": "local",
        "item": "http://REDACTED@w:9080/",
        "result": "hold",
        "reason": "pending",
        "detail": "waits 2m",
        "mode": "observe",
        "remedy": "force-redeploy",
        "since": "2026-11-20T12:00:00.000Z",
        "waiting": {"since": "2026-11-20T12:00:00.000Z", "readings": 2},
        "values": {
            "item.missing": ["Mail"],
            "services.age": "1m30s",
            "token": "REDACTED",
            "at": "2026-11-20T12:00:00.000Z",
        },
        "verdicts": [
            {"gate": "mode_off", "holds": False, "detail": "", "until": None},
            {
                "gate": "pending",
                "holds": True,
                "detail": "waits 2m",
                "until": "2026-11-20T12:00:00.000Z",
            },
        ],
    }


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 3),
        ("?target=a", 2),
        ("?policy=q", 1),
        ("?result=hold", 2),
        ("?target=a&result=clear", 1),
    ],
)
async def test_decisions_can_be_narrowed(site: Site, query: str, count: int) -> None:
    """By target, policy and result."""
    decisions = [
        Decision(Subject("p", "a"), Result.CLEAR),
        Decision(Subject("q", "a"), Result.HOLD, HoldReason.STORM),
        Decision(Subject("p", "b"), Result.HOLD, HoldReason.STORM),
    ]
    site.status = replace(
        site.status, decisions=tuple(StandingDecision(d, START) for d in decisions)
    )
    assert len((await site.get(f"/api/v1/decisions{query}")).json()["decisions"]) == count


def test_a_decision_keeps_its_beginning_while_it_stands() -> None:
    """``since`` is when result and reason became these, not when they were last looked at."""
    later, latest = START + timedelta(seconds=15), START + timedelta(seconds=30)
    first = follow({}, [held()], START)
    second = follow(first, [held(detail="other words")], later)
    (kept,) = second.values()
    assert kept.since == START
    assert kept.decision.detail == "other words"
    changed = replace(held(), reason=HoldReason.COOLDOWN)
    (new,) = follow(second, [changed], latest).values()
    assert new.since == latest
    assert follow(second, [], latest) == {}
