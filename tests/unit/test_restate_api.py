"""How Restate's answers become facts, and how bad ones never become anything else than errors."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.component import Reason
from exporter.model.errors import CallFailedError
from exporter.model.views import Deployment, Handler, Service, ServiceShape
from exporter.restate_api import DiscoveryFailedError, Registration, bodies, literal, literals, rows
from exporter.restate_api.bodies import parse
from exporter.transport import Answer
from tests.unit import hostile
from tests.unit.fake_restate import FakeRestate, deployment, service

KINDS: list[type[bodies.Body]] = [
    bodies.DeploymentList,
    bodies.WholeDeployment,
    bodies.ServiceList,
    bodies.ServiceBody,
    bodies.Registered,
    bodies.Version,
    bodies.ClusterHealth,
    bodies.IngressHealth,
    rows.Rows[rows.GroupRow],
    rows.Rows[rows.InvocationRow],
    rows.Rows[rows.StateRow],
    rows.Rows[rows.PausedEventRow],
]
GOOD: list[Any] = [
    {"deployments": [deployment()]},
    {"services": [service("A")]},
    {"id": "dp_1", "services": [service("A")]},
    {"rows": [{"id": "inv_1", "status": "invoked", "created_at": "2026-11-20T23:54:44Z"}]},
]
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["rows", "services", "deployments", "id", "ty", "name", "created_at"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(_json.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=50))
def test_garbage_is_a_bad_body(body: bytes) -> None:
    """Whatever a body holds, it is read or it is a CallFailedError of `bad_body`."""
    for kind in KINDS:
        try:
            parse(kind, Answer(200, {}, body, "GET http://h/x"))
        except CallFailedError as error:
            failed = error
        else:
            continue
        assert failed.reason is Reason.BAD_BODY


@given(st.sampled_from(GOOD), st.data())
def test_truncated_answers_are_bad_bodies(good: Any, data: st.DataObject) -> None:
    """An answer cut anywhere is a bad body, never a shorter list."""
    whole = json.dumps(good).encode()
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    for kind in KINDS:
        with pytest.raises(CallFailedError):
            parse(kind, Answer(200, {}, cut, "GET http://h/x"))


def test_a_bad_body_names_the_field_but_not_its_value() -> None:
    """The error says where the answer is wrong, and shows nothing of what was there."""
    body = {"deployments": [deployment(additional_headers={"authorization": ["hunter2"]})]}
    with pytest.raises(CallFailedError) as caught:
        parse(bodies.DeploymentList, Answer(200, {}, json.dumps(body).encode(), "GET http://h/x"))
    assert "deployments.0.additional_headers.authorization" in str(caught.value)
    assert "hunter2" not in str(caught.value) + repr(caught.value.__cause__)


async def test_deployments() -> None:
    """Deployments keep the server's order and URL; nanoseconds are read; headers stay out."""
    listed = [
        deployment("dp_2", "http://B:1/x?y=1", metadata={"a": "b"}, sdk_version="py/1"),
        deployment("dp_1", additional_headers={"authorization": "hunter2"}),
    ]
    fake = FakeRestate(
        routes={("GET", "/deployments"): hostile.json_answer({"deployments": listed})}
    )
    async with fake.api() as api:
        view = await api.admin.deployments()
    created = datetime(2026, 11, 20, 23, 54, 44, 571000, tzinfo=UTC)
    assert view.items[0] == Deployment(
        "dp_2", "http://B:1/x?y=1", "http", created, ("Greeter",), {"a": "b"}, "py/1"
    )
    assert "hunter2" not in repr(view)


@pytest.mark.parametrize("broken", [{"uri": None}, {"id": "../x"}, {"created_at": "2026-11-20"}])
async def test_a_deployment_we_could_not_act_on(broken: dict[str, Any]) -> None:
    """Without a place, with an id no path can hold, or without a time zone: a bad body."""
    entry = deployment() | broken
    fake = FakeRestate(
        routes={("GET", "/deployments"): hostile.json_answer({"deployments": [entry]})}
    )
    async with fake.api() as api:
        with pytest.raises(CallFailedError) as caught:
            await api.admin.deployments()
    assert caught.value.reason is Reason.BAD_BODY


async def test_services() -> None:
    """Types are told in one spelling, handlers sorted, a plain service's have no kind."""
    listed = [
        service("A", "dp_1"),
        service("B", ty="VirtualObject", handlers=[("z", "Shared"), ("a", "Exclusive")]),
        service("C", ty="Workflow", handlers=[("run", "Workflow")], public=False),
    ]
    fake = FakeRestate(routes={("GET", "/services"): hostile.json_answer({"services": listed})})
    async with fake.api() as api:
        view = await api.admin.services()
    assert view.items == (
        Service(ServiceShape("A", "service", (Handler("run", ""),)), "dp_1", 1),
        Service(
            ServiceShape("B", "object", (Handler("a", "Exclusive"), Handler("z", "Shared"))),
            "dp_1",
            1,
        ),
        Service(
            ServiceShape("C", "workflow", (Handler("run", "Workflow"),)), "dp_1", 1, public=False
        ),
    )


async def test_a_type_we_do_not_know_is_a_bad_body() -> None:
    """A service type no rule knows is not guessed."""
    fake = FakeRestate(
        routes={("GET", "/services"): hostile.json_answer({"services": [service("A", ty="Agent")]})}
    )
    async with fake.api() as api:
        with pytest.raises(CallFailedError) as caught:
            await api.admin.services()
    assert caught.value.reason is Reason.BAD_BODY


async def test_cluster_name_is_optional() -> None:
    """A server that no longer tells its cluster's name has none."""
    fake = FakeRestate(routes={("GET", "/cluster-health"): hostile.answer(404, "")})
    async with fake.api() as api:
        assert await api.admin.cluster_name() is None


async def test_what_is_not_there_is_none_only_if_restate_says_so() -> None:
    """An unknown deployment or service is None, a deleted one false; a proxy's 404 is an error."""
    async with FakeRestate().api() as api:
        assert await api.admin.deployment("dp_9") is None
        assert await api.admin.get_service("Nope") is None
        assert not await api.admin.delete_deployment("dp_9")
    page = hostile.answer(404, "<html>", "text/html")
    routes = {("GET", "/deployments/dp_1"): page, ("DELETE", "/deployments/dp_1"): page}
    async with FakeRestate(routes=routes).api() as api:
        for call in (api.admin.deployment, api.admin.delete_deployment):
            with pytest.raises(CallFailedError) as caught:
                await call("dp_1")
            assert caught.value.reason is Reason.HTTP_STATUS


@pytest.mark.parametrize("name", ["", ".", ".."])
async def test_names_that_would_change_the_path(name: str) -> None:
    """A name that would address something else is never sent."""
    fake = FakeRestate()
    async with fake.api() as api:
        with pytest.raises(CallFailedError) as caught:
            await api.admin.delete_deployment(name)
    assert (caught.value.sent, fake.calls) == (False, [])


async def test_names_are_quoted() -> None:
    """A name is one segment of the path whatever it holds."""
    fake = FakeRestate()
    async with fake.api() as api:
        assert await api.admin.get_service("a/../b c?d") is None
    assert fake.calls[0][1] == "/services/a%2F..%2Fb%20c%3Fd"


async def test_settings_of_a_service() -> None:
    """Settings are what PATCH takes; patching sends exactly what was asked."""
    told = service("A", public=False, journal_retention="2d", retry_policy={"x": 1})
    routes = {
        ("GET", "/services/A"): hostile.json_answer(told),
        ("PATCH", "/services/A"): hostile.json_answer(told),
    }
    fake = FakeRestate(routes=routes)
    async with fake.api() as api:
        details = await api.admin.get_service("A")
        await api.admin.patch_service("A", {"public": False})
    assert details is not None
    assert details.settings == {"public": False, "journal_retention": "2d"}
    assert fake.calls[-1] == ("PATCH", "/services/A", {"public": False})


async def test_registering() -> None:
    """A registration always says whether to force; 201 is a new deployment, 200 a known one."""
    for status in (200, 201):
        body = {"id": "dp_7", "services": [service("B"), service("A")]}
        fake = FakeRestate(routes={("POST", "/deployments"): hostile.json_answer(body, status)})
        async with fake.api() as api:
            done = await api.admin.register(Registration.of("http://w/"), force=False)
        assert (done.deployment_id, done.created) == ("dp_7", status == 201)
        assert [shape.name for shape in done.shapes] == ["A", "B"]
        assert fake.calls[0][2] == {
            "uri": "http://w/",
            "use_http_11": False,
            "force": False,
            "dry_run": False,
        }


async def test_an_unfinished_registration_has_an_unknown_outcome() -> None:
    """A registration whose answer never came may have happened; one Restate refused has not."""
    fake = FakeRestate(routes={("POST", "/deployments"): hostile.hang})
    async with fake.api() as api:
        with pytest.raises(DiscoveryFailedError) as caught:
            await api.admin.register(Registration.of("http://w/"))
    assert caught.value.outcome_unknown
    refusal = hostile.json_answer({"message": "[META0003] no", "restate_code": "META0003"}, 500)
    fake = FakeRestate(routes={("POST", "/deployments"): refusal})
    async with fake.api() as api:
        with pytest.raises(DiscoveryFailedError) as caught:
            await api.admin.register(Registration.of("http://w/"))
    assert not caught.value.outcome_unknown
    assert (caught.value.unreachable, caught.value.code) == (True, "META0003")


async def test_a_worker_s_own_headers_are_not_repeated() -> None:
    """What a worker answered to Restate may hold secrets; its headers and body are left out."""
    message = (
        "[META0003] [META0003] got status code '401'. Make sure. "
        'Response headers: {"set-cookie": "hunter2"}. Body: hunter2'
    )
    answer = hostile.json_answer({"message": message, "restate_code": "META0003"}, 500)
    async with FakeRestate(routes={("POST", "/deployments"): answer}).api() as api:
        with pytest.raises(DiscoveryFailedError) as caught:
            await api.admin.dry_run(Registration.of("http://w/"))
    assert str(caught.value) == "[META0003] got status code '401'. Make sure."


def test_a_registration_does_not_show_its_secrets() -> None:
    """Neither header values nor auth appear when a registration is printed."""
    registration = Registration(
        "http://w/", additional_headers={"x-key": "hunter2"}, auth={"token": "hunter2"}
    )
    assert "hunter2" not in repr(registration)
    assert registration.header_names == ("x-key",)
    assert registration.body(force=True, dry_run=False)["additional_headers"] == {
        "x-key": "hunter2"
    }


@given(st.text())
def test_a_literal_ends_where_it_should(text: str) -> None:
    """A literal is quoted once, and every quote inside is doubled."""
    written = literal(text)
    assert written[0] == written[-1] == "'"
    assert written[1:-1].replace("''", "").count("'") == 0
    assert written[1:-1].replace("''", "'") == text


def test_literals_are_stable() -> None:
    """The same set of texts always gives the same statement."""
    assert literals(["b", "a'", "b"]) == "'a''', 'b'"
