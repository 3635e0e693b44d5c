"""The remedies against a Restate that answers as a test says: what no real one can be made to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from exporter.model.component import Component, Reason, Status
from exporter.model.errors import CallFailedError, RefusedError
from exporter.model.operation import ItemOutcome, Request
from exporter.model.report import Reading, Report
from exporter.model.target import Target, Worker
from exporter.model.views import (
    Deployment,
    DeploymentsView,
    Handler,
    IngressView,
    Service,
    ServiceShape,
    ServicesView,
    View,
)
from exporter.remedies import cleanup_stale_deployments as cleanup
from exporter.remedies import force_redeploy as redeploy
from exporter.remedies.catalogue import REMEDIES
from exporter.remedies.registered import url_of
from exporter.remedies.remedy import RemedyContext
from tests.unit import hostile
from tests.unit.fake_restate import CREATED, FakeRestate, deployment, service
from tests.unit.fakes import Clock, by_person, by_policy

URL = "http://w:9080/"
ONE = Target("prod", workers=(Worker(URL),))


@dataclass
class Guard:
    """Lets every write through, and remembers it."""

    operation_id: str = "op_1"
    steps: list[str] = field(default_factory=list)
    items: list[ItemOutcome] = field(default_factory=list)

    async def before_write(self, step: str, *, completes: bool = False) -> None:
        del completes
        self.steps.append(step)

    async def item_done(self, outcome: ItemOutcome) -> None:
        self.items.append(outcome)


@asynccontextmanager
async def context_on(
    server: FakeRestate, target: Target = ONE, clock: Clock | None = None
) -> AsyncIterator[RemedyContext]:
    clock = clock or Clock()
    async with server.api() as api:
        yield RemedyContext(api=api, target=target, now=clock.now, sleep=clock.sleep)


def person(url: str = URL, **more: Any) -> Request:
    return replace(by_person(), arguments={"url": url}, **more)


def offering(*services: Any) -> hostile.Reply:
    """The answer to a registration, dry or not."""
    return hostile.json_answer({"id": "dp_1", "services": list(services)})


async def refused(server: FakeRestate, request: Request, target: Target = ONE) -> RefusedError:
    async with context_on(server, target) as context:
        with pytest.raises(RefusedError) as caught:
            await redeploy.preflight(context, request)
    return caught.value


# Which URL


def test_the_url_is_the_items_then_the_arguments_then_the_only_workers() -> None:
    """What a policy decided on wins over what it was written with."""
    context = RemedyContext(api=None, target=ONE, now=Clock().now)  # type: ignore[arg-type]
    given = replace(by_policy(), arguments={"url": "http://b:1"}, item_values={})
    assert url_of(replace(given, item_values={"item.url": "http://A:1"}), context) == "http://a:1/"
    assert url_of(given, context) == "http://b:1/"
    assert url_of(replace(given, arguments={}), context) == URL


async def test_a_shown_url_that_fits_two_deployments_is_refused() -> None:
    """Both have user info in their URL, and hiding it makes them look the same."""
    both = [
        deployment("dp_1", "http://one@w:9080/"),
        deployment("dp_2", "http://two@w:9080/"),
    ]
    server = FakeRestate({("GET", "/deployments"): hostile.json_answer({"deployments": both})})
    error = await refused(server, person("http://REDACTED@w:9080/"))
    assert error.reason == "url-ambiguous"
    assert "dp_1, dp_2" in str(error)


# force-redeploy


async def test_a_handler_of_another_kind_is_a_changed_type() -> None:
    """An exclusive handler that becomes a shared one changes what may run at the same time."""
    exclusive, shared = [("put", "Exclusive")], [("put", "Shared")]
    before = service("Greeter", ty="VirtualObject", handlers=exclusive)
    after = service("Greeter", ty="VirtualObject", handlers=shared)
    whole = deployment() | {"services": [before]}
    server = FakeRestate(
        {
            ("GET", "/services"): hostile.json_answer({"services": [before]}),
            ("GET", "/deployments/dp_1"): hostile.json_answer(whole),
            ("POST", "/deployments"): offering(after),
        }
    )
    error = await refused(server, person())
    assert (error.reason, error.override) == ("change-type", "change-type")
    assert "Greeter/put" in str(error)


async def test_a_deployment_that_vanishes_while_it_is_looked_at_is_a_change() -> None:
    """The list had it, and then it was gone: nothing is assumed."""
    gone = hostile.json_answer({"message": "no such deployment"}, 404)
    error = await refused(FakeRestate({("GET", "/deployments/dp_1"): gone}), person())
    assert error.reason == "changed"


async def test_only_a_policy_waits_for_the_worker_to_be_stable() -> None:
    """30 s unless the policy says otherwise; a person sees one dry run and acts at once."""
    new = [service("Greeter"), service("New")]
    for request, slept in (
        (person(), []),
        (replace(by_policy(), arguments={"url": URL}), [30.0]),
        (replace(by_policy(), arguments={"url": URL, "stable_for": timedelta(minutes=2)}), [120.0]),
    ):
        server, clock = FakeRestate({("POST", "/deployments"): offering(*new)}), Clock()
        async with context_on(server, clock=clock) as context:
            plan = await redeploy.preflight(context, request)
        assert clock.slept == slept
        assert plan.before["drift"]["added"] == ["New"]


async def test_a_plan_survives_being_stored_as_json() -> None:
    """What it rests on is compared with a fresh look, also when it comes out of the ledger."""
    server = FakeRestate({("GET", "/services/Greeter"): hostile.json_answer(service("Greeter"))})
    async with context_on(server) as context:
        plan = await redeploy.preflight(context, person())
        stored = replace(plan, rests_on=json.loads(json.dumps(plan.rests_on)))
        result = await redeploy.act(context, stored, Guard())
    assert result.after["deploymentId"] == "dp_1"


@pytest.mark.parametrize(
    ("statuses", "unknown"), [((400, 200), False), ((400, 503), True), ((503, 400), True)]
)
async def test_every_service_is_put_back_even_if_one_cannot_be(
    statuses: tuple[int, int], unknown: bool
) -> None:
    """All are tried, those that failed are named, and an unknown outcome is not hidden by a no."""
    server = FakeRestate()
    names = ("Billing", "Greeter")
    both = [service(name) for name in names]
    server.routes |= {
        ("GET", "/services"): hostile.json_answer({"services": both}),
        ("GET", "/deployments/dp_1"): hostile.json_answer(deployment() | {"services": both}),
        ("POST", "/deployments"): offering(*both),
    }
    for name, status in zip(names, statuses, strict=True):
        patched = hostile.json_answer(service(name, public=False), status)
        server.routes |= {
            ("GET", f"/services/{name}"): once(service(name, public=False), service(name)),
            ("PATCH", f"/services/{name}"): patched,
        }
    guard = Guard()
    async with context_on(server) as context:
        plan = await redeploy.preflight(context, person())
        with pytest.raises(CallFailedError) as caught:
            await redeploy.act(context, plan, guard)
    failed = [name for name, status in zip(names, statuses, strict=True) if status != 200]
    assert f"the settings of {', '.join(failed)} may not be as they were" in str(caught.value)
    assert caught.value.outcome_unknown is unknown
    assert len(guard.steps) == 3


async def test_a_setting_the_new_type_does_not_have_is_not_put_back() -> None:
    """The server refuses a workflow's retention for what is no workflow any more."""
    flow = service("Greeter", ty="Workflow", workflow_completion_retention="5h")
    plain = service("Greeter")
    server = FakeRestate(
        {
            ("GET", "/services"): hostile.json_answer({"services": [flow]}),
            ("GET", "/deployments/dp_1"): hostile.json_answer(deployment() | {"services": [flow]}),
            ("GET", "/services/Greeter"): once(flow, plain),
            ("POST", "/deployments"): offering(plain),
        }
    )
    guard = Guard()
    async with context_on(server) as context:
        plan = await redeploy.preflight(context, person(allow=frozenset({"change-type"})))
        await redeploy.act(context, plan, guard)
    assert plan.allowed == ("change-type",)
    assert guard.steps == [f"register {URL}"]


# cleanup-stale-deployments


@pytest.mark.parametrize("at", ["scan", "narrow"])
async def test_unpinned_work_of_a_service_only_it_serves_keeps_a_deployment(at: str) -> None:
    """No real server lists such a service without calling its deployment the latest; all the same.

    What is scheduled and not pinned yet could run nowhere else.
    """
    old = deployment("dp_0", "http://old:9080/", services=[{"name": "Legacy", "revision": 1}])
    listed = hostile.json_answer({"deployments": [old, deployment()]})
    waiting = {"scan": _group("Legacy", "scheduled"), "narrow": {"name": "Legacy", "n": 1}}

    def rows(statement: str) -> list[dict[str, Any]]:
        narrow = "pinned_deployment_id IS NULL" in statement
        return [waiting[at]] if narrow == (at == "narrow") and "target" in statement else []

    server = FakeRestate({("GET", "/deployments"): listed}, rows=rows)
    target = replace(ONE, expected_services=("Legacy",))
    request = replace(by_person(), arguments={"url": URL, "drain_timeout": timedelta(0)})
    guard = Guard()
    async with context_on(server, target) as context:
        plan = await cleanup.preflight(context, request)
        result = await cleanup.act(context, plan, guard)
    assert plan.before["draining" if at == "scan" else "drained"] == ["dp_0"]
    assert [item.outcome for item in result.items] == ["skipped"]
    assert guard.steps == []


# Did it help?


def test_a_redeploy_helped_when_admin_and_ingress_both_show_it() -> None:
    """Each service under the deployment, the public ones at the ingress; unknown is no success."""
    after = {"deploymentId": "dp_1", "services": ["Greeter"]}
    fine = seen(services=[_service("Greeter")], ingress=["Greeter"])
    said = {
        None: fine,
        "deployment dp_1 is not registered": seen(deployments=[]),
        "service Greeter is not served by deployment dp_1": seen(services=[]),
        "the ingress does not list service Greeter": seen(services=[_service("Greeter")]),
        "deployments, services or ingress cannot be read": seen(unread=Component.INGRESS),
    }
    for expected, report in said.items():
        assert redeploy.check({}, after, report, Clock().now()) == expected
    elsewhere = seen(services=[_service("Greeter", "dp_2")], ingress=["Greeter"])
    assert redeploy.check({}, after, elsewhere, Clock().now()) is not None
    private = seen(services=[replace(_service("Greeter"), public=False)])
    assert redeploy.check({}, after, private, Clock().now()) is None


def test_a_cleanup_helped_when_what_was_deleted_is_not_listed_any_more() -> None:
    """What was skipped does not matter; a list that cannot be read is no success."""
    after = {"deleted": ["dp_0"], "skipped": {"dp_1": "it is draining"}}
    now = Clock().now()
    assert cleanup.check({}, after, seen(), now) is None
    assert cleanup.check({}, {"deleted": ["dp_1"]}, seen(), now) == "still registered: dp_1"
    unread = seen(unread=Component.DEPLOYMENTS)
    assert cleanup.check({}, after, unread, now) == "deployments cannot be read"


def test_every_remedy_is_known_by_its_own_name() -> None:
    """The map that backends offer is keyed by what each remedy calls itself."""
    assert {name: remedy.name for name, remedy in REMEDIES.items()} == {n: n for n in REMEDIES}


def once(first: Any, then: Any) -> hostile.Reply:
    """Answer one thing the first time, and another from then on."""
    answers = iter((first,))

    async def reply(request: hostile.Request, writer: asyncio.StreamWriter) -> None:
        await hostile.json_answer(next(answers, then))(request, writer)

    return reply


def _group(service_name: str, status: str) -> dict[str, Any]:
    times = {"oldest_created": CREATED, "oldest_modified": CREATED}
    named = {"target_service_name": service_name, "target_service_ty": "service"}
    return {**named, "status": status, "n": 1, **times}


def _service(name: str, deployment_id: str = "dp_1") -> Service:
    return Service(ServiceShape(name, "service", (Handler("run"),)), deployment_id, 1)


def seen(
    *,
    deployments: Iterable[str] = ("dp_1",),
    services: Iterable[Service] = (),
    ingress: Iterable[str] = (),
    unread: Component | None = None,
) -> Report:
    """A report of what three components show now."""
    at = Clock().now()
    listed = tuple(Deployment(i, URL, "http", at, ("Greeter",)) for i in deployments)
    shown: dict[Component, View] = {
        Component.DEPLOYMENTS: DeploymentsView(listed),
        Component.SERVICES: ServicesView(tuple(services)),
        Component.INGRESS: IngressView(frozenset(ingress)),
    }
    every = timedelta(seconds=15)
    readings = {
        component: Reading(component, Status.OK, at, at, every, view=view)
        for component, view in shown.items()
    }
    if unread is not None:
        status, why = Status.UNREACHABLE, Reason.TIMEOUT
        readings[unread] = Reading(unread, status, at, at, every, reason=why)
    return Report("prod", readings)
