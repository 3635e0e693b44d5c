"""Every bad answer is its component's status and bounded reason, and nobody else's."""

from __future__ import annotations

import socket
from datetime import timedelta

import pytest

from exporter.model.component import Component, Reason, Status
from exporter.transport import Transport
from tests.unit import hostile
from tests.unit.fake_restate import FakeRestate, connect_to, read_all

INGRESS, ADMIN = Component.INGRESS, Component.ADMIN
SERVICES, DEPLOYMENTS = Component.SERVICES, Component.DEPLOYMENTS
INVOCATIONS, DRIFT = Component.INVOCATIONS, Component.DRIFT

ROUTES = {
    INGRESS: ("GET", "/restate/health"),
    ADMIN: ("GET", "/version"),
    DEPLOYMENTS: ("GET", "/deployments"),
    SERVICES: ("GET", "/services"),
    INVOCATIONS: ("POST", "/query"),
    DRIFT: ("GET", "/deployments/dp_1"),
}
RESTS_ON = {DEPLOYMENTS: {INVOCATIONS, DRIFT}, SERVICES: {DRIFT}}
"""What cannot be seen either: zombies and drift are told by what is registered."""

REPLIES = {
    "hang": (hostile.hang, Reason.TIMEOUT),
    "drip": (hostile.drip(b"{" * 500), Reason.TIMEOUT),
    "hang-up": (hostile.hang_up(), Reason.RESET),
    "garbage": (hostile.raw(b"\x15\x03\x01nonsense\r\n\r\n"), Reason.PROTOCOL),
    "401": (hostile.answer(401), Reason.UNAUTHORIZED),
    "403": (hostile.answer(403, "<html>", "text/html"), Reason.UNAUTHORIZED),
    "404-of-a-proxy": (hostile.answer(404, "<html>", "text/html"), Reason.HTTP_STATUS),
    "500": (hostile.answer(500, "oh no", "text/plain"), Reason.HTTP_STATUS),
    "503": (hostile.answer(503), Reason.THROTTLED),
    "html": (hostile.answer(200, "<html>", "text/html"), Reason.BAD_BODY),
    "empty": (hostile.answer(200, ""), Reason.BAD_BODY),
    "null": (hostile.json_answer(None), Reason.BAD_BODY),
    "another-shape": (hostile.json_answer({"services": 7, "rows": {}, "id": 3}), Reason.BAD_BODY),
    "truncated-json": (hostile.answer(200, '{"services": [{"na'), Reason.BAD_BODY),
    "200MB": (hostile.endless(200 * 1024 * 1024), Reason.TOO_LARGE),
    "wrong-length": (hostile.breaks_after(b'{"services"', promised=900), Reason.RESET),
    "breaks-mid-stream": (hostile.breaks_after(b'{"rows":[{"id":'), Reason.RESET),
    "redirect-loop": (hostile.answer(307, location="/version"), Reason.HTTP_STATUS),
}
QUERY_REASONS = {
    # After its 200 a query's stream breaks when the scan fails on the server.
    "wrong-length": Reason.QUERY_FAILED,
    "breaks-mid-stream": Reason.QUERY_FAILED,
    "500": Reason.QUERY_FAILED,
}


@pytest.mark.parametrize("name", REPLIES)
@pytest.mark.parametrize("component", ROUTES)
async def test_one_bad_route(component: Component, name: str) -> None:
    """A route that misbehaves in any way gives its own component the right status and reason,
    without a view, in bounded time; all others stay ok."""
    reply, reason = REPLIES[name]
    if component is INVOCATIONS:
        reason = QUERY_REASONS.get(name, reason)
    async with FakeRestate(routes={ROUTES[component]: reply}).api() as api:
        readings = await read_all(api)
    bad = readings[component]
    assert (bad.reason, bad.status, bad.view) == (reason, reason.status, None)
    assert bad.error
    for other in readings.keys() - {component} - RESTS_ON.get(component, set()):
        assert readings[other].status is Status.OK, readings[other].error


@pytest.mark.parametrize("status", [400, 500])
async def test_sql_error(status: int) -> None:
    """An SQL error (400 since 1.7.1, 500 before) is `query_failed` with the server's words."""
    reply = hostile.json_answer({"message": "Datafusion error: no"}, status)
    async with FakeRestate(routes={("POST", "/query"): reply}).api() as api:
        reading = (await read_all(api))[INVOCATIONS]
    assert (reading.status, reading.reason) == (Status.DEGRADED, Reason.QUERY_FAILED)
    assert "Datafusion error: no" in str(reading.error)


async def test_throttling_tells_how_long() -> None:
    """A 429 is `throttled`, and its Retry-After reaches the reading."""
    reply = hostile.answer(429, retry_after="7")
    async with FakeRestate(routes={("POST", "/query"): reply}).api() as api:
        reading = (await read_all(api))[INVOCATIONS]
    assert (reading.reason, reading.retry_after) == (Reason.THROTTLED, timedelta(seconds=7))


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        pytest.param("http://nowhere.invalid:8080", Reason.DNS, id="dns"),
        pytest.param("http://127.0.0.1:{closed}", Reason.REFUSED, id="refused"),
        pytest.param("https://127.0.0.1:{plain}", Reason.TLS, id="tls"),
    ],
)
async def test_an_ingress_nobody_reaches(url: str, reason: Reason) -> None:
    """An ingress that cannot be connected to is `unreachable` with its reason and no latency;
    everything behind the admin URL stays ok."""
    fake = FakeRestate()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        async with (
            hostile.serving(fake.reply) as good,
            hostile.saying(b"HTTP/1.1 400 Bad Request\r\n\r\n") as plain,
            Transport() as transport,
        ):
            ingress = url.format(closed=closed.getsockname()[1], plain=plain)
            readings = await read_all(connect_to(good.url, transport, ingress))
    bad = readings.pop(INGRESS)
    assert (bad.status, bad.reason, bad.latency_seconds) == (Status.UNREACHABLE, reason, None)
    assert all(reading.status is Status.OK for reading in readings.values())


async def test_an_admin_that_is_down() -> None:
    """With the admin port closed the ingress stays ok, and everything else is `refused`."""
    fake = FakeRestate()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        async with hostile.serving(fake.reply) as good, Transport() as transport:
            admin_url = f"http://127.0.0.1:{closed.getsockname()[1]}"
            readings = await read_all(connect_to(admin_url, transport, good.url))
    assert readings.pop(INGRESS).status is Status.OK
    assert {reading.reason for reading in readings.values()} == {Reason.REFUSED}


async def test_secrets_stay_out_of_errors() -> None:
    """Neither user info, nor tokens, nor a deployment's headers reach any error text."""
    leaky = {
        "deployments": [
            {
                "id": "dp_1",
                "uri": "http://bob:hunter2@w/",
                "additional_headers": {"authorization": "Bearer hunter2", "x": {"hunter2": 1}},
            }
        ]
    }
    fake = FakeRestate(routes={("GET", "/deployments"): hostile.json_answer(leaky)})
    async with hostile.serving(fake.reply) as server, Transport() as transport:
        url = server.url.replace("://", "://ann:hunter2@")
        api = connect_to(url, transport, admin_token=lambda: "hunter2")
        readings = await read_all(api)
    assert readings[DEPLOYMENTS].reason is Reason.BAD_BODY
    for reading in readings.values():
        assert "hunter2" not in repr(reading)
