"""``why``: which link the chain ends with, and by which command; nothing unread looks fine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.model.component import Component, Reason, Status
from exporter.model.derive import derive
from exporter.model.report import Reading, Report
from exporter.model.target import Target, Worker
from exporter.model.token import TokenKind, Tokens
from exporter.model.views import (
    AdminView,
    Deployment,
    DeploymentsView,
    Discovery,
    DriftView,
    Handler,
    IngressView,
    InvocationGroup,
    InvocationItem,
    InvocationsView,
    Service,
    ServiceShape,
    ServicesView,
    View,
)
from exporter.model.work import Call, Work
from exporter.why import Facts, LinkState, Verdict, judge
from tests.unit.policy_scenes import NOW
from tests.unit.random_reports import scenes

URL, OLD = "http://w:9080/", "http://old:9080/"
KINDS = {"Plain": "service", "Cart": "object", "Flow": "workflow"}
HANDLERS = {"service": "", "object": "Exclusive", "workflow": "Workflow"}
AGO = timedelta(minutes=5)


def shape(name: str, *more: Handler, kind: str = "") -> ServiceShape:
    kind = kind or KINDS[name]
    run = Handler("run", HANDLERS[kind])
    return ServiceShape(name, kind, (run, *more))  # type: ignore[arg-type]


SHAPES = tuple(shape(name) for name in KINDS)
ASK = Handler("ask", "Shared")


def discovery(url: str = URL, id_: str | None = "dp_1", **more: Any) -> Discovery:
    facts: dict[str, Any] = {"reachable": "yes", "latest": True}
    facts |= {"discovered": SHAPES, "registered": SHAPES, **more}
    return Discovery(url=url, kind="http", deployment_id=id_, **facts)


def well() -> dict[Component, View]:
    """What each probe sees when all is well: one worker, three services."""
    deployment = Deployment("dp_1", URL, "http", NOW, tuple(KINDS))
    return {
        Component.INGRESS: IngressView(frozenset(KINDS)),
        Component.ADMIN: AdminView("1.7.12"),
        Component.DEPLOYMENTS: DeploymentsView((deployment,)),
        Component.SERVICES: ServicesView(tuple(Service(s, "dp_1", 1) for s in SHAPES)),
        Component.INVOCATIONS: InvocationsView((), (), frozenset({"dp_1"}), 0.1),
        Component.DRIFT: DriftView((discovery(),)),
    }


def call(
    id_: str = "inv_1", status: str = "completed", service: str = "Plain", **more: Any
) -> Call:
    of_item = {f for f in InvocationItem.__dataclass_fields__ if f in more} - {"result"}
    kind: Any = KINDS[service]
    item: dict[str, Any] = {
        "key": None if kind == "service" else "k",
        "handler": "run",
        "deployment_id": "dp_1",
        "created_at": NOW - AGO,
        "modified_at": NOW - AGO,
        **{name: more.pop(name) for name in of_item},
    }
    if status == "completed":
        more.setdefault("result", "success")
    made = InvocationItem(id=id_, service=service, service_type=kind, **item)
    return Call(item=made, status=status, **more)


def ask(
    service: str = "Plain",
    key: str | None = None,
    *calls: Call,
    failing: Mapping[Component, Reason] | None = None,
    workers: tuple[str, ...] = (URL,),
    tokens: Tokens | None = None,
    protected: bool = False,
    complete: bool = True,
    **shown: Any,
) -> Verdict:
    """Judge what is well but for what is said."""
    seen = well() | {Component(name): view for name, view in shown.items()}
    metadata = {"managed-by": "operator"} if protected else {}
    target = Target(
        "prod", workers=tuple(Worker(url) for url in workers), protected_metadata=metadata
    )
    readings = {
        c: Reading(
            c,
            why.status if (why := (failing or {}).get(c)) else Status.OK,
            NOW,
            NOW,
            target.intervals[c],
            reason=why,
            error=f"GET http://r: {why}" if why else None,
            view=None if why else seen[c],
        )
        for c in target.intervals
    }
    report = Report("prod", readings)
    return judge(
        Facts(
            service=service,
            key=key,
            report=report,
            findings=derive(report, target, now=NOW),
            now=NOW,
            tokens=tokens or Tokens(),
            work=Work(calls, complete),
        )
    )


def states(verdict: Verdict) -> dict[str, str]:
    return {link.name: str(link.state) for link in verdict.links}


def broken(verdict: Verdict) -> tuple[str, str]:
    """The name of the broken link, which is the last one, and the command."""
    link = verdict.broken
    assert link is not None
    assert link is verdict.links[-1]
    assert not verdict.fine
    assert link.advice
    return link.name, " ".join(link.command)


# Ingress and admin


@pytest.mark.parametrize("door", [Component.INGRESS, Component.ADMIN])
@pytest.mark.parametrize("reason", list(Reason))
def test_a_door_that_does_not_open(door: Component, reason: Reason) -> None:
    """Unreachable is told from answering wrongly; what asks for patience is unknown."""
    verdict = ask(failing={door: reason})
    if reason is Reason.THROTTLED:
        assert verdict.broken is None
        assert not verdict.fine
        assert states(verdict)[str(door)] == "unknown"
        return
    name, command = broken(verdict)
    assert (name, command) == (str(door), "doctor")
    assert verdict.ending.unreachable is (reason.status is Status.UNREACHABLE)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (TokenKind.NONE, "ingress_token is not set; the ingress wants the API key"),
        (TokenKind.JWT, "ingress_token is a JWT, which only the admin API takes"),
        (TokenKind.API_KEY, "wrong, revoked or of elsewhere"),
        (TokenKind.OTHER, "ingress_token is wrong"),
    ],
)
def test_a_token_that_the_ingress_refuses(kind: TokenKind, words: str) -> None:
    """It is up; by the token's kind it says what is wanted instead."""
    verdict = ask(failing={Component.INGRESS: Reason.UNAUTHORIZED}, tokens=Tokens(ingress=kind))
    assert broken(verdict) == ("ingress", "doctor")
    assert "is up, and refuses the token" in verdict.ending.says
    assert words in verdict.ending.advice
    assert not verdict.ending.unreachable


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (Tokens(), "admin_token is not set"),
        (Tokens(admin=TokenKind.API_KEY), "is an API key, which needs the role Admin"),
        (Tokens(admin=TokenKind.OTHER), "admin_token is wrong"),
        (Tokens(admin=TokenKind.JWT), "although it does not say it expired"),
        (Tokens(admin=TokenKind.JWT, admin_expires_at=NOW + AGO), "does not say it expired"),
        (Tokens(admin=TokenKind.JWT, admin_expires_at=NOW - AGO), "a JWT that expired at 20"),
    ],
)
def test_a_token_that_the_admin_api_refuses(tokens: Tokens, words: str) -> None:
    """The same; a JWT that ran out says when."""
    verdict = ask(failing={Component.ADMIN: Reason.UNAUTHORIZED}, tokens=tokens)
    assert broken(verdict) == ("admin", "doctor")
    assert words in verdict.ending.advice


# Registration, endpoint, worker


def without(name: str) -> dict[str, Any]:
    """One service is not registered, though the worker offers it."""
    rest = tuple(s for s in SHAPES if s.name != name)
    return {
        "services": ServicesView(tuple(Service(s, "dp_1", 1) for s in rest)),
        "drift": DriftView((discovery(registered=rest),)),
    }


def test_what_is_not_registered_is_registered_by_the_worker_that_offers_it() -> None:
    """The only worker needs no URL; among several, the one that has it is named."""
    assert broken(ask("Flow", **without("Flow"))) == ("registered", "redeploy")
    several = ask("Flow", workers=(OLD, URL), **without("Flow"))
    assert broken(several) == ("registered", f"redeploy {URL}")


def test_what_is_not_registered_and_not_offered() -> None:
    """A worker that is dead may have it; one that answers has not; nobody is configured."""
    lost = without("Flow")
    rest = tuple(s for s in SHAPES if s.name != "Flow")
    gone = DriftView((discovery(registered=rest, discovered=rest),))
    assert broken(ask("Flow", **lost | {"drift": gone})) == ("registered", "why Flow")
    dead = DriftView((discovery(registered=rest, discovered=(), reachable="no", error="refused"),))
    verdict = ask("Flow", **lost | {"drift": dead})
    assert broken(verdict) == ("registered", "redeploy")
    assert "which does not answer: refused" in verdict.ending.advice
    assert broken(ask("Flow", workers=(), **lost)) == ("registered", "redeploy URL")
    assert "did you mean 'Plain'" in ask("Plian").ending.says


def test_a_service_that_the_ingress_does_not_list() -> None:
    """A private one is meant to be refused; of a public one it is a fault."""
    hidden = IngressView(frozenset({"Cart"}))
    assert broken(ask("Plain", ingress=hidden)) == ("registered", "why Plain")
    private = tuple(Service(s, "dp_1", 1, public=False) for s in SHAPES)
    verdict = ask("Plain", ingress=hidden, services=ServicesView(private))
    assert verdict.fine
    assert "it is private" in verdict.links[2].says


def test_an_endpoint_that_is_dead() -> None:
    """The worker is to be started; if another one offers the service, that is registered."""
    dead = discovery(discovered=(), reachable="no", error="refused")
    assert broken(ask(drift=DriftView((dead,)))) == ("endpoint", "why Plain")
    moved = DriftView((discovery(OLD, None), dead))
    assert broken(ask(workers=(OLD,), drift=moved)) == ("endpoint", "redeploy")


def test_a_worker_that_is_not_the_registered_one() -> None:
    """Calls still go to the old one, which answers."""
    both = DriftView((discovery(OLD), discovery(URL, None)))
    assert broken(ask(drift=both)) == ("worker", "redeploy")


@pytest.mark.parametrize(
    ("offered", "says", "command"),
    [
        ((shape("Flow", ASK),), "new: Flow/ask", "redeploy"),
        ((ServiceShape("Flow", "workflow", ()),), "gone: Flow/run", "redeploy"),
        ((shape("Flow", kind="object"),), "of another kind", "redeploy"),
        ((), "does not offer Flow any more", "why Flow"),
    ],
)
def test_a_worker_that_has_changed(
    offered: tuple[ServiceShape, ...], says: str, command: str
) -> None:
    """What the service gained or lost; one that is gone is not registered away by accident."""
    rest = tuple(s for s in SHAPES if s.name != "Flow")
    drift = DriftView((discovery(discovered=(*rest, *offered)),))
    verdict = ask("Flow", drift=drift)
    assert broken(verdict) == ("worker", command)
    assert says in verdict.ending.says
    # A neighbour in the same worker is not broken by that, and says so.
    other = ask("Plain", drift=drift)
    assert other.fine
    assert "other services of it have changed" in other.links[4].says


def test_a_protected_deployment_is_not_asked_and_not_in_the_way() -> None:
    """What is left alone on purpose is named, and is no gap."""
    metadata = {"managed-by": "operator"}
    deployment = Deployment("dp_1", URL, "http", NOW, tuple(KINDS), metadata)
    verdict = ask(
        workers=(),
        protected=True,
        deployments=DeploymentsView((deployment,)),
        drift=DriftView(()),
    )
    assert verdict.fine
    assert (states(verdict)["endpoint"], states(verdict)["worker"]) == ("not asked", "not asked")


# Work


@pytest.mark.parametrize(
    ("more", "command"),
    [
        ({"paused_by": "retries"}, "invocations resume inv_1"),
        ({"paused_by": "manual"}, "invocations resume inv_1 --allow paused-by-person"),
        ({"paused_by": "unknown"}, "invocations resume inv_1 --allow paused-by-person"),
        (
            {"paused_by": "retries", "error_code": "RT0016"},
            "invocations resume inv_1 --allow journal-mismatch",
        ),
        (
            {"paused_by": "retries", "error_code": "RT0011"},
            "invocations resume inv_1 --deployment latest --allow zombie",
        ),
        (
            {"paused_by": "manual", "deployment_id": "dp_gone", "error_code": "RT0011"},
            "invocations resume inv_1 --deployment latest --allow zombie --allow paused-by-person",
        ),
    ],
)
@pytest.mark.parametrize(("service", "key"), [("Plain", None), ("Cart", "k"), ("Flow", "k")])
def test_what_is_paused(service: str, key: str | None, more: Any, command: str) -> None:
    """By whom, and with which words its resume is not refused."""
    verdict = ask(service, key, call(status="paused", service=service, error="boom", **more))
    assert broken(verdict) == ("invocation", command)


def test_what_fails_says_why_and_when_it_is_tried_again() -> None:
    """It is tried again by itself: the command only looks again."""
    failing = call(
        status="invoked",
        failing=True,
        retries=3,
        error="x" * 999,
        error_code="RT0007",
        next_retry_at=NOW + timedelta(seconds=7),
    )
    verdict = ask("Plain", None, failing)
    assert broken(verdict) == ("invocation", "why Plain")
    says = verdict.ending.says
    assert "failed 3 times and is backing off: RT0007 xxx" in says
    assert says.endswith("(in 7s)")
    assert len(says) < 400
    assert "invocations cancel inv_1" in verdict.ending.advice
    trying = ask("Plain", None, replace(failing, in_flight=True))
    assert "is trying again" in trying.ending.says


@pytest.mark.parametrize(
    ("status", "more", "says"),
    [
        ("invoked", {}, "is running, begun 5m ago"),
        ("suspended", {}, "waits for a promise, a call or an awakeable"),
        ("suspended", {"sleeps_until": NOW + AGO}, "its last timer fires at 20"),
        ("scheduled", {"starts_at": NOW + AGO}, "is scheduled for 20"),
        ("of-a-later-version", {}, "is of-a-later-version since 5m ago"),
    ],
)
@pytest.mark.parametrize(("service", "key"), [("Plain", None), ("Flow", "k"), ("Cart", "k")])
def test_what_is_as_it_should_be(
    service: str, key: str | None, status: str, more: Any, says: str
) -> None:
    """Nothing is broken; it says what is waited for."""
    verdict = ask(service, key, call(status=status, service=service, **more))
    assert verdict.fine
    assert verdict.ending.state is LinkState.WAITING
    assert says in verdict.ending.says


def test_who_waits_for_a_key_is_told_for_whom() -> None:
    """A head that is stuck is the link that breaks; one that sleeps is to be ended; others run."""

    def queued(**head: Any) -> Verdict:
        waiting = (call(f"inv_{n}", "inboxed", "Cart", deployment_id=None) for n in (2, 3))
        return ask("Cart", "k", call("inv_1", service="Cart", **head), *waiting)

    name, command = broken(queued(status="paused", paused_by="retries"))
    assert (name, command) == ("invocation", "invocations resume inv_1")
    verdict = queued(status="suspended")
    assert broken(verdict) == ("queue", "invocations cancel inv_1")
    assert "inv_3 and 1 more wait behind inv_1" in verdict.ending.says
    running = queued(status="invoked")
    assert (running.fine, states(running)["queue"]) == (True, "waiting")
    gone = queued(status="suspended", deployment_id="dp_gone")
    assert broken(gone) == ("invocation", "invocations kill inv_1")
    alone = ask("Cart", "k", call("inv_2", "inboxed", "Cart", deployment_id=None))
    assert (alone.fine, alone.broken, states(alone)["queue"]) == (False, None, "unknown")


@pytest.mark.parametrize(
    ("failure", "more", "command"),
    [
        ("[500] boom", {}, "recover Flow k"),
        ("[409] killed", {}, "recover Flow k"),
        ("[500] boom", {"journal_kept": False}, "recover Flow k --allow unknown-sleeps"),
        ("[500] boom", {"key": "a/b"}, "invocations purge inv_1"),
    ],
)
def test_a_run_that_failed_holds_its_key(failure: str, more: Any, command: str) -> None:
    """Whatever ended it; a key that `recover` does not take is freed by forgetting the run."""
    run = call(service="Flow", result="failure", failure=failure, **more)
    assert broken(ask("Flow", more.get("key", "k"), run)) == ("invocation", command)


def test_a_failed_run_that_others_still_wait_for() -> None:
    """`recover` would be refused while they are active."""
    run = call(service="Flow", result="failure", failure="[500] boom")
    asker = call("inv_2", "suspended", "Flow", handler="ask")
    services = ServicesView((Service(shape("Flow", ASK), "dp_1", 1),))
    verdict = ask("Flow", "k", run, asker, services=services)
    assert broken(verdict) == ("invocation", "invocations cancel inv_2")


def test_what_failed_for_good_is_run_again_unless_somebody_ended_it() -> None:
    """A person's kill is no fault."""
    failed = call(result="failure", failure="[500] boom")
    assert broken(ask("Plain", None, failed)) == ("invocation", "invocations restart inv_1")
    for failure in ("[409] killed", "[409] cancelled", "[409] canceled"):
        assert ask("Plain", None, call(result="failure", failure=failure)).fine


def test_the_newest_counts_and_what_is_stuck_counts_more() -> None:
    """An old failure is over; an old pause is not."""
    old, newer = NOW - 2 * AGO, call("inv_2")
    assert ask("Plain", None, newer, call(result="failure", failure="x", created_at=old)).fine
    paused = call("inv_0", "paused", paused_by="retries", created_at=old, modified_at=old)
    also = call("inv_9", "paused", paused_by="retries")
    verdict = ask("Plain", None, newer, also, paused)
    assert broken(verdict) == ("invocation", "invocations resume inv_0 inv_9")


def test_nothing_is_no_fault_and_no_success() -> None:
    """It may never have been submitted, or its retention is over."""
    for key in (None, "k"):
        verdict = ask("Flow", key)
        assert verdict.fine
        assert verdict.ending.state is LinkState.NOTHING


def test_a_worker_that_old_work_needs() -> None:
    """What is pinned to a deployment that was replaced needs that one's endpoint."""
    old = Deployment("dp_0", OLD, "http", NOW, ())
    seen: dict[str, Any] = {
        "deployments": DeploymentsView((old, Deployment("dp_1", URL, "http", NOW, tuple(KINDS)))),
        "drift": DriftView((discovery(), discovery(OLD, "dp_0", reachable="no", error="refused"))),
    }
    pinned = call(status="suspended", service="Flow", deployment_id="dp_0")
    verdict = ask("Flow", "k", pinned, **seen)
    assert broken(verdict) == ("invocation", "why Flow k")
    assert f"needs {OLD}, which does not answer: refused" in verdict.ending.says


# Unknown


@pytest.mark.parametrize(
    "component", [Component.DEPLOYMENTS, Component.SERVICES, Component.DRIFT, Component.INVOCATIONS]
)
@pytest.mark.parametrize("reason", [Reason.TIMEOUT, Reason.QUERY_FAILED, Reason.UNAUTHORIZED])
def test_what_could_not_be_read_is_named_and_not_fine(component: Component, reason: Reason) -> None:
    """With the reason; and what is known to be broken is still found."""
    verdict = ask("Plain", None, call(), failing={component: reason})
    assert (verdict.fine, verdict.broken) == (False, None)
    assert any(str(reason) in link.says for link in verdict.unknown)
    paused = call("inv_2", "paused", paused_by="retries")
    verdict = ask("Plain", None, paused, failing={component: reason})
    assert broken(verdict) == ("invocation", "invocations resume inv_2")
    assert verdict.unknown


def test_work_that_could_not_be_read_is_named() -> None:
    """As the server put it."""
    facts = Facts(
        service="Plain",
        key=None,
        report=Report("prod"),
        findings=derive(Report("prod"), Target("prod"), now=NOW),
        now=NOW,
        work_error="query_failed: no",
    )
    verdict = judge(facts)
    assert not verdict.fine
    assert [link.state for link in verdict.links] == [LinkState.UNKNOWN] * len(verdict.links)
    assert verdict.ending.says == "query_failed: no"


_statuses = st.sampled_from(["inboxed", "scheduled", "invoked", "suspended", "paused", "completed"])
_calls = st.builds(
    lambda n, status, service, failing, pin, result, error, by, handler: call(
        f"inv_{n}",
        status,
        service,
        failing=failing,
        deployment_id=pin,
        result=result,
        failure=error,
        error_code=error,
        paused_by=by,
        handler=handler,
    ),
    st.integers(0, 9),
    _statuses,
    st.sampled_from(sorted(KINDS)),
    st.booleans(),
    st.sampled_from([None, "dp_1", "dp_2", "dp_gone"]),
    st.sampled_from(["success", "failure"]),
    st.sampled_from(["", "RT0011", "RT0016", "[409] killed"]),
    st.sampled_from(["retries", "manual", "unknown"]),
    st.sampled_from(["run", "ask"]),
)


@settings(max_examples=200, deadline=None)
@given(
    scenes(),
    st.sampled_from(["Counter", "Greeter", "Nobody"]),
    st.sampled_from([None, "k"]),
    st.none() | st.lists(_calls, max_size=5, unique_by=lambda c: c.item.id).map(tuple),
)
def test_whatever_was_read_the_verdict_is_whole(
    scene: tuple[Target, Report], service: str, key: str | None, calls: tuple[Call, ...] | None
) -> None:
    """At most one link is broken, the last, with advice and a command; fine means all was read."""
    target, report = scene
    verdict = judge(
        Facts(
            service=service,
            key=key,
            report=report,
            findings=derive(report, target, now=NOW),
            now=NOW,
            work=None if calls is None else Work(calls),
        )
    )
    broken_ones = [link for link in verdict.links if link.state is LinkState.BROKEN]
    assert broken_ones in ([], [verdict.links[-1]])
    for link in broken_ones:
        assert link.advice
        assert link.command
    if verdict.fine:
        needed = [Component.INGRESS, Component.ADMIN, Component.SERVICES, Component.DEPLOYMENTS]
        assert all(report.status(c, NOW) is Status.OK for c in needed)
        assert calls is not None
    assert all(link.says for link in verdict.links)


def test_a_group_of_unfinished_work_is_counted() -> None:
    """Of this service alone."""
    groups = tuple(
        InvocationGroup("dp_1", name, "service", status, None, 2, NOW, NOW)
        for name, status in (("Plain", "suspended"), ("Plain", "completed"), ("Cart", "paused"))
    )
    scan = InvocationsView(groups, (), frozenset({"dp_1"}), 0.1)
    verdict = ask("Plain", None, call(), invocations=scan)
    assert next(link.says for link in verdict.links if link.name == "work") == "2 suspended"
