"""What the drift probe discovers, and what a discovery says."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from exporter.doctor import drift
from exporter.model.component import Component, Reason, Status
from exporter.model.report import Reading
from exporter.model.target import Target, Worker
from exporter.model.views import Discovery, DriftView, Handler, ServiceShape
from tests.unit import hostile
from tests.unit.fake_restate import FakeRestate, deployment, read_all, service

GREETER = ServiceShape("Greeter", "service", (Handler("run"),))


def _by_uri(replies: dict[str, Any]) -> hostile.Reply:
    """Answer a discovery by the URI it names."""

    async def reply(request: hostile.Request, writer: asyncio.StreamWriter) -> None:
        await replies[json.loads(request.body)["uri"]](request, writer)

    return reply


async def _drift(fake: FakeRestate, target: Target | None = None) -> Reading:
    async with fake.api() as api:
        return (await read_all(api, target, [Component.DRIFT]))[Component.DRIFT]


async def _discoveries(fake: FakeRestate, target: Target | None = None) -> list[Discovery]:
    reading = await _drift(fake, target)
    assert isinstance(reading.view, DriftView), reading.error
    return list(reading.view.discoveries)


async def test_a_registered_endpoint() -> None:
    """A registered deployment is discovered by dry-run with force, sending again its headers,
    metadata, auth and HTTP version, and compared with its own registration."""
    fake = FakeRestate()
    more: dict[str, Any] = {
        "additional_headers": {"authorization": "Bearer x"},
        "metadata": {"a": "b"},
        "auth": {"type": "google"},
        "http_version": "HTTP/1.1",
    }
    whole = deployment(**more) | {"services": [service("Greeter")]}
    fake.routes["GET", "/deployments/dp_1"] = hostile.json_answer(whole)
    (found,) = await _discoveries(fake)
    assert found == Discovery("http://w:9080/", "http", "yes", "dp_1", True, (GREETER,), (GREETER,))
    (sent,) = [body for method, _, body in fake.calls if method == "POST"]
    assert sent == {
        "uri": "http://w:9080/",
        "force": True,
        "dry_run": True,
        "use_http_11": True,
        "additional_headers": {"authorization": "Bearer x"},
        "metadata": {"a": "b"},
        "auth": {"type": "google"},
    }


async def test_a_lambda_function() -> None:
    """A Lambda deployment is discovered by its ARN and role."""
    arn = "arn:aws:lambda:eu-central-1:123456789012:function:f:1"
    listed = deployment() | {"arn": arn, "assume_role_arn": "arn:role"}
    del listed["uri"]
    fake = FakeRestate()
    fake.routes["GET", "/deployments"] = hostile.json_answer({"deployments": [listed]})
    fake.routes["GET", "/deployments/dp_1"] = hostile.json_answer(
        listed | {"services": [service("Greeter")]}
    )
    (found,) = await _discoveries(fake)
    assert (found.url, found.kind, found.reachable) == (arn, "lambda", "yes")
    (sent,) = [body for method, _, body in fake.calls if method == "POST"]
    assert sent == {"arn": arn, "assume_role_arn": "arn:role", "force": True, "dry_run": True}


async def test_an_unregistered_worker() -> None:
    """A worker nobody registered is compared with what is registered under the same names only;
    what the server lists under another spelling of its URL is not discovered twice."""
    fake = FakeRestate()
    fake.routes["POST", "/deployments"] = _by_uri(
        {
            "http://w:9080/": hostile.json_answer({"id": "dp_1", "services": [service("Greeter")]}),
            "http://new:1/": hostile.json_answer(
                {"id": "dp_9", "services": [service("Greeter"), service("New")]}
            ),
        }
    )
    target = Target("t", workers=(Worker("http://w:9080/"), Worker("http://new:1/")))
    known, new = await _discoveries(fake, target)
    assert known.deployment_id == "dp_1"
    assert (new.url, new.deployment_id, new.latest, new.reachable) == (
        "http://new:1/",
        None,
        False,
        "yes",
    )
    assert [shape.name for shape in new.discovered] == ["Greeter", "New"]
    assert new.registered == (GREETER,)


@pytest.mark.parametrize(
    ("reply", "reachable"),
    [
        pytest.param(
            hostile.json_answer(
                {"message": "[META0003] [META0003] refused", "restate_code": "META0003"}, 500
            ),
            "no",
            id="META0003",
        ),
        pytest.param(
            hostile.json_answer(
                {"message": "received a bad response from the SDK", "restate_code": None}, 500
            ),
            "no",
            id="malformed-live",
        ),
        pytest.param(hostile.answer(422, "malformed", "text/plain"), "no", id="malformed-422"),
        pytest.param(
            hostile.json_answer({"message": "bad", "restate_code": "META0013"}, 500),
            "no",
            id="META0013",
        ),
        pytest.param(
            hostile.json_answer({"message": "two of them", "restate_code": "META0017"}, 409),
            "unknown",
            id="META0017",
        ),
        pytest.param(hostile.json_answer({"message": "oops"}, 500), "unknown", id="500"),
        pytest.param(hostile.answer(504, "<html>", "text/html"), "unknown", id="gateway"),
        pytest.param(hostile.hang, "unknown", id="hang"),
    ],
)
async def test_an_endpoint_that_cannot_be_discovered(reply: hostile.Reply, reachable: str) -> None:
    """An endpoint that fails is a fact about it: `no` when Restate says that it does not work,
    `unknown` when that was not found out; the probe is ok either way."""
    fake = FakeRestate(routes={("POST", "/deployments"): reply})
    (found,) = await _discoveries(fake)
    assert found.reachable == reachable
    assert found.error
    assert "[META0003] [META0003]" not in found.error
    assert (found.discovered, found.registered) == ((), (GREETER,))


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (hostile.answer(401), Reason.UNAUTHORIZED),
        (hostile.answer(429), Reason.THROTTLED),
        (hostile.answer(503), Reason.THROTTLED),
        (hostile.hang_up(), Reason.RESET),
        (hostile.answer(200, "<html>"), Reason.BAD_BODY),
    ],
)
async def test_an_admin_that_fails_fails_the_probe(reply: hostile.Reply, reason: Reason) -> None:
    """When the admin API itself fails during discoveries, nothing is known: the reading fails."""
    reading = await _drift(FakeRestate(routes={("POST", "/deployments"): reply}))
    assert (reading.status, reading.reason) == (reason.status, reason)


async def test_protected_deployments_are_left_alone() -> None:
    """A deployment with all of the protecting pairs is not discovered, unless it is a worker's."""
    pairs = {"managed-by": "restate-operator", "tier": "1"}
    listed = [
        deployment("dp_1", "http://a/", metadata={**pairs, "more": "x"}),
        deployment("dp_2", "http://b/", metadata={"managed-by": "restate-operator"}),
        deployment("dp_3", "http://c/", metadata=pairs),
    ]
    fake = FakeRestate()
    fake.routes["GET", "/deployments"] = hostile.json_answer({"deployments": listed})
    for entry in listed:
        fake.routes["GET", f"/deployments/{entry['id']}"] = hostile.json_answer(
            entry | {"services": []}
        )
    target = Target("t", workers=(Worker("http://c/"),), protected_metadata=pairs)
    assert [found.url for found in await _discoveries(fake, target)] == ["http://b/", "http://c/"]
    assert [f.url for f in await _discoveries(fake)] == ["http://a/", "http://b/", "http://c/"]


async def test_latest_means_latest_for_every_service() -> None:
    """A deployment that another one has replaced for one of its services is not the latest."""
    fake = FakeRestate()
    two = [{"name": "Greeter", "revision": 1}, {"name": "Other", "revision": 1}]
    listed = deployment(services=two)
    fake.routes["GET", "/deployments"] = hostile.json_answer({"deployments": [listed]})
    fake.routes["GET", "/services"] = hostile.json_answer(
        {"services": [service("Greeter"), service("Other", "dp_2")]}
    )
    (found,) = await _discoveries(fake)
    assert not found.latest


async def test_a_deployment_that_vanishes_meanwhile() -> None:
    """A deployment deleted between list and look is left out."""
    fake = FakeRestate()
    del fake.routes["GET", "/deployments/dp_1"]
    assert await _discoveries(fake) == []


async def test_few_discoveries_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most four discoveries run at once; those whose turn comes after the budget are
    `unknown` and are not tried."""
    running = most = 0

    async def slow(request: hostile.Request, writer: asyncio.StreamWriter) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.1)
        running -= 1
        await hostile.json_answer({"id": "dp_1", "services": []})(request, writer)

    monkeypatch.setattr(drift, "BUDGET_SECONDS", 0.15)
    workers = tuple(Worker(f"http://w{n}/") for n in range(20))
    found = await _discoveries(
        FakeRestate(routes={("POST", "/deployments"): slow}), Target("t", workers=workers)
    )
    assert most == drift.AT_ONCE
    assert len(found) == 21
    untried = [d for d in found if d.reachable == "unknown"]
    assert 0 < len(untried) < 20
    assert untried[0].error.startswith("not tried")


async def test_status_is_ok_even_with_nothing_registered() -> None:
    """An empty environment has no drift, and that is a fine reading."""
    fake = FakeRestate()
    fake.routes["GET", "/deployments"] = hostile.json_answer({"deployments": []})
    fake.routes["GET", "/services"] = hostile.json_answer({"services": []})
    reading = await _drift(fake)
    assert (reading.status, reading.view) == (Status.OK, DriftView(()))
