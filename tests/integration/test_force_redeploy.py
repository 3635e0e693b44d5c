"""force-redeploy on a real Restate: what it repairs, what it keeps, and what it refuses."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from exporter.log import configure_logging
from exporter.model.component import Reason
from exporter.model.operation import Operation, Outcome
from exporter.restate_api import DiscoveryFailedError
from exporter.wire.acts import plan_body
from exporter.wire.operation import operation_json
from lab import Restate, RestateServer, ServiceSpec, Version, Worker, free_ports
from tests.integration.engine import (
    PERSON,
    POLICY,
    Yard,
    desk_at,
    nothing_changes,
    open_yard,
    state_of,
)
from tests.support import WorkerFactory

REDEPLOY = "force-redeploy"
BRIEF = timedelta(milliseconds=20)
GREETER = ServiceSpec("Greeter", handlers=("hello",))
SIGNUP = ServiceSpec("Signup", "workflow")
BILLING = ServiceSpec("Billing", handlers=("charge",))
MANAGED = {"managed-by": "restate-operator"}
CANARIES = ("canary-of-a-header", "canary-of-a-url")
"""A header's value and a password in the worker's URL."""
OVERRIDES: dict[str, dict[str, Any]] = {
    "Greeter": {
        "public": False,
        "idempotency_retention": "2h",
        "journal_retention": "3h",
        "inactivity_timeout": "7s",
        "abort_timeout": "9s",
    },
    "Signup": {"workflow_completion_retention": "5h"},
}


@pytest.fixture(scope="module")
def yard() -> Iterator[Yard]:
    """A server, and a worker whose paths are deployments of their own."""
    with open_yard(GREETER) as yard:
        yield yard


# What it repairs and keeps


@dataclass(frozen=True, slots=True)
class Healed:
    """What was seen of one heal from outside, and what the program itself left behind."""

    operation: Operation
    entries: list[dict[str, Any]]
    before: list[Any]
    after: list[Any]
    missing: int
    answers: tuple[int, str]
    private: int
    program: str
    """Everything it said and stored: ledger, plan, errors, log."""


@pytest.fixture(scope="module")
def healed(any_version: Version, tmp_path_factory: pytest.TempPathFactory) -> Healed:
    """A policy registers a rolled worker again; its deployment has everything that can be lost."""
    folder = tmp_path_factory.mktemp("healed")
    with RestateServer(any_version) as restate, Worker([GREETER, SIGNUP]) as worker:
        url = worker.url.replace("http://", f"http://user:{CANARIES[1]}@")
        headers = {"x-tenant": CANARIES[0], "authorization": f"Bearer {CANARIES[0]}"}
        restate.register(url, additional_headers=headers, metadata={"team": "growth"})
        for service, settings in OVERRIDES.items():
            restate.admin("PATCH", f"/services/{service}", settings).raise_for_status()
        worker.roll([GREETER, SIGNUP, BILLING])
        return asyncio.run(heal(folder, restate, worker, url))


async def heal(folder: Path, restate: Restate, worker: Worker, url: str) -> Healed:
    before, missing = state_of(restate), restate.call("Billing", "charge", "10").status_code
    expected = ["Billing", "Greeter", "Signup"]
    with logged() as log:
        async with desk_at(folder, restate, service_url=url, expected_services=expected) as desk:
            seen = {"services.missing": ["Billing"], "item.url": url}
            request = desk.by_policy(REDEPLOY, values=seen, stable_for=BRIEF)
            plan = await desk.plan(request)
            operation = await desk.perform(request)
            entries = await desk.engine.ledger.entries(operation.id)
            answer = restate.call("Billing", "charge", "10")
            after, private = state_of(restate), restate.call("Greeter", "hello").status_code
            worker.stop()
            with pytest.raises(DiscoveryFailedError) as caught:
                await desk.perform(desk.by_person(REDEPLOY, url=url))
            rows = [operation_json(row) for row in await desk.rows()]
        stored = desk.stored().decode("latin-1")
    said = [
        json.dumps(plan_body(plan).as_json()),
        json.dumps(rows),
        str(caught.value),
        log.getvalue(),
    ]
    return Healed(
        operation=operation,
        entries=[json.loads(entry.body) for entry in entries],
        before=before,
        after=after,
        missing=missing,
        answers=(answer.status_code, answer.json()),
        private=private,
        program="\n".join([stored, *said]),
    )


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """Log as the daemon does, everything, into memory."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    configure_logging("debug", log_format="json", stream=stream)
    try:
        yield stream
    finally:
        root.handlers, root.level = handlers, level
        logging.captureWarnings(capture=False)
        structlog.reset_defaults()


def test_a_service_nobody_registered_answers_again(healed: Healed) -> None:
    """Before, the ingress knows no Billing; afterwards it answers, and the old ones are there."""
    assert healed.missing == 404
    assert healed.answers == (200, "Hello 10")
    assert [service["name"] for service in healed.after[1]] == ["Billing", "Greeter", "Signup"]
    assert [d["id"] for d in healed.after[0]] == [d["id"] for d in healed.before[0]]


def test_the_ledger_tells_who_why_and_what_was_before_and_after(healed: Healed) -> None:
    """The row names the policy and its revision, what its condition saw, and the change."""
    row, (deployment,) = healed.operation, healed.before[0]
    assert row.outcome is Outcome.VERIFIED
    assert (row.actor, row.source, row.policy) == (f"policy:{POLICY.name}", "policy", POLICY)
    assert row.values["services.missing"] == ["Billing"]
    assert row.before["deploymentId"] == deployment["id"]
    assert row.before["drift"] == {
        "added": ["Billing"],
        "dropped": [],
        "changed": [],
        "typeChanged": [],
    }
    assert row.before["revisions"] == {"Greeter": 1, "Signup": 1}
    assert row.after["deploymentId"] == deployment["id"]
    assert row.after["services"] == ["Billing", "Greeter", "Signup"]
    steps = [entry["detail"] for entry in healed.entries if "detail" in entry]
    of_greeter, of_signup = (", ".join(sorted(OVERRIDES[n])) for n in ("Greeter", "Signup"))
    assert [step.partition(" http")[0] for step in steps] == [
        "register",
        f"put back {of_greeter} of service Greeter",
        f"put back {of_signup} of service Signup",
    ]


def test_headers_and_metadata_survive_the_registration(healed: Healed) -> None:
    """A forced registration wipes what is not sent again, so all of it is."""
    kept = ("uri", "http_version", "additional_headers", "metadata", "protocol_type")
    (before,), (after,) = healed.before[0], healed.after[0]
    assert {name: after.get(name) for name in kept} == {name: before.get(name) for name in kept}
    assert after["http_version"] == "HTTP/2.0"
    assert after["additional_headers"]["x-tenant"] == CANARIES[0]


def test_service_overrides_survive_the_registration(healed: Healed) -> None:
    """A service that was made private stays private; retentions and timeouts stay too."""
    services = {service["name"]: service for service in healed.after[1]}
    for name, settings in OVERRIDES.items():
        assert {key: services[name][key] for key in settings} == settings
        assert healed.operation.after["overridesKept"][name] == settings
    assert healed.private == 400, "the ingress does not take calls for a private service"


@pytest.mark.parametrize("canary", CANARIES)
def test_no_secret_of_a_deployment_is_stored_or_said(healed: Healed, canary: str) -> None:
    """Header values and URL user info are in no byte of the ledger, no plan, error or log line."""
    assert "operation.reserved" in healed.program, "the log was captured"
    assert "META0003" in healed.program, "the failed discovery was told"
    assert "REDACTED@127.0.0.1" in healed.program
    assert canary not in healed.program


async def test_the_http_version_survives_the_registration(yard: Yard, tmp_path: Path) -> None:
    """A worker that was registered for HTTP/1.1 is called over HTTP/1.1 afterwards too."""
    url = yard.new_url()
    yard.restate.register(url, use_http_11=True)
    async with desk_at(tmp_path, yard.restate, service_url=url) as desk:
        assert (await desk.perform(desk.by_person(REDEPLOY))).outcome is Outcome.VERIFIED
    versions = {d["uri"]: d["http_version"] for d in yard.restate.deployments()}
    assert versions[url] == "HTTP/1.1"


# What it refuses, for whom


async def test_a_placeholder_is_refused_for_everybody(yard: Yard, tmp_path: Path) -> None:
    """A template's stand-in is never registered; so is a URL copied with its user info hidden."""
    async with desk_at(tmp_path, yard.restate) as desk:
        with nothing_changes(yard.restate):
            for url in ("http://worker.example.com:9080", "http://REDACTED@127.0.0.1:9080/v1"):
                error = await desk.refused(desk.by_person(REDEPLOY, url=url))
                assert error.reason == "placeholder-url"
            policy = desk.by_policy(REDEPLOY, url="http://{{ host }}:9080")
            assert (await desk.refused(policy)).reason == "placeholder-url"
        rows = await desk.rows()
        assert [(row.actor, row.outcome) for row in rows] == 2 * [(PERSON, Outcome.REFUSED)]


async def test_a_policy_registers_only_listed_urls(yard: Yard, tmp_path: Path) -> None:
    """A URL that is neither a worker's nor allowed is for persons; allowed ones are for all."""
    restate = yard.restate
    elsewhere, allowed, url = yard.new_url(), yard.new_url(), yard.new_url()
    target = {"service_url": elsewhere, "allowed_service_urls": [allowed]}
    async with desk_at(tmp_path, restate, **target) as desk:
        with nothing_changes(restate):
            error = await desk.refused(desk.by_policy(REDEPLOY, url=url, stable_for=BRIEF))
            assert error.reason == "unlisted-url"
        for request in (
            desk.by_person(REDEPLOY, url=url),
            desk.by_policy(REDEPLOY, url=allowed, stable_for=BRIEF),
        ):
            assert (await desk.perform(request)).outcome is Outcome.VERIFIED
    assert {url, allowed} <= {d["uri"] for d in restate.deployments()}


async def test_a_stale_url_is_refused_while_a_newer_deployment_is_live(
    yard: Yard, tmp_path: Path
) -> None:
    """Registering it would pull all traffic back; only a person who says rollback may do that."""
    stale = yard.new_url()
    old = yard.restate.register(stale)["id"]
    new = yard.restate.register(yard.new_url())["id"]
    async with desk_at(tmp_path, yard.restate, service_url=stale) as desk:
        with nothing_changes(yard.restate):
            policy = desk.by_policy(REDEPLOY, allow=["rollback"], stable_for=BRIEF)
            for request in (policy, desk.by_person(REDEPLOY)):
                error = await desk.refused(request)
                assert (error.reason, error.override) == ("not-latest", "rollback")
        assert served_by(yard.restate, "Greeter") == new
        done = await desk.perform(desk.by_person(REDEPLOY, allow=["rollback"], reason="v2 is bad"))
    assert done.outcome is Outcome.VERIFIED
    assert (done.allowed, done.reason) == (("rollback",), "v2 is bad")
    assert served_by(yard.restate, "Greeter") == old


@dataclass(frozen=True, slots=True)
class Loss:
    """What a worker served, what it serves after a rollout, and how that is refused."""

    before: list[ServiceSpec]
    rolled: list[ServiceSpec]
    reason: str
    named: str


SERVICE_LOST = Loss([ServiceSpec("KeptA"), ServiceSpec("LostA")], [], "drop-service", "LostA")
HANDLER_LOST = Loss(
    [ServiceSpec("PartB", "object", ("get", "put"))],
    [ServiceSpec("PartB", "object", ("get",)), ServiceSpec("NewB")],
    "drop-service",
    "PartB/put",
)
TYPE_CHANGED = Loss(
    [ServiceSpec("TypeC", "object")],
    [ServiceSpec("TypeC", "service"), ServiceSpec("NewC")],
    "change-type",
    "TypeC",
)


@pytest.mark.parametrize(
    "loss", [SERVICE_LOST, HANDLER_LOST, TYPE_CHANGED], ids=["service", "handler", "type"]
)
async def test_what_a_worker_lost_is_not_taken_from_restate(
    yard: Yard, worker_factory: WorkerFactory, tmp_path: Path, loss: Loss
) -> None:
    """A dropped service, a dropped handler or another type: for a person who names it only.

    The server would take each of them without a word. What was allowed is in the ledger.
    """
    worker, reason = worker_factory(*loss.before), loss.reason
    yard.restate.register(worker.url)
    rolled = loss.rolled or loss.before[:1]
    worker.roll(rolled)
    async with desk_at(tmp_path, yard.restate, service_url=worker.url) as desk:
        with nothing_changes(yard.restate):
            policy = desk.by_policy(REDEPLOY, allow=[reason], stable_for=BRIEF)
            wrong_word = desk.by_person(REDEPLOY, allow=["rollback", "foreign"])
            for request in (policy, desk.by_person(REDEPLOY), wrong_word):
                error = await desk.refused(request)
                assert (error.reason, error.override) == (reason, reason)
                assert loss.named in str(error)
        done = await desk.perform(desk.by_person(REDEPLOY, allow=[reason, "rollback"]))
    assert (done.outcome, done.allowed) == (Outcome.VERIFIED, (reason,))
    offered = {spec.name for spec in rolled}
    lost = {spec.name for spec in loss.before} - offered
    assert offered <= set(yard.restate.exposed())
    assert not lost & set(yard.restate.exposed())


async def test_a_protected_or_foreign_deployment_is_for_persons_who_say_so(
    yard: Yard, tmp_path: Path
) -> None:
    """What an operator manages, or what serves none of our services, is left alone."""
    url, protect = yard.new_url(), {"deployment_metadata": MANAGED}
    yard.restate.register(url, metadata=MANAGED)
    async with desk_at(tmp_path, yard.restate, service_url=url, protect=protect) as desk:
        with nothing_changes(yard.restate):
            policy = desk.by_policy(REDEPLOY, allow=["foreign"], stable_for=BRIEF)
            for request in (policy, desk.by_person(REDEPLOY)):
                error = await desk.refused(request)
                assert (error.reason, error.override) == ("foreign", "foreign")
    async with desk_at(tmp_path, yard.restate, expected_services=["Other"]) as desk:
        with nothing_changes(yard.restate):
            assert (await desk.refused(desk.by_person(REDEPLOY, url=url))).reason == "foreign"
        done = await desk.perform(desk.by_person(REDEPLOY, url=url, allow=["foreign"]))
        assert (done.outcome, done.allowed) == (Outcome.VERIFIED, ("foreign",))
    assert next(d for d in yard.restate.deployments() if d["uri"] == url)["metadata"] == MANAGED


async def test_a_service_that_another_deployment_serves_is_not_pulled_over(
    yard: Yard, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """A rolled worker that now also offers another worker's service would take its traffic."""
    ours, theirs = ServiceSpec("OursD"), ServiceSpec("TheirsD")
    worker, other = worker_factory(ours), worker_factory(theirs, ServiceSpec("MoreD"))
    yard.restate.register(worker.url)
    holder = yard.restate.register(other.url)["id"]
    worker.roll([ours, theirs])
    both = [{"url": worker.url}, {"url": other.url}]
    async with desk_at(tmp_path, yard.restate, workers=both) as desk:
        with nothing_changes(yard.restate):
            policy = desk.by_policy(REDEPLOY, url=worker.url, allow=["rollback"], stable_for=BRIEF)
            error = await desk.refused(policy)
            assert (error.reason, error.override) == ("not-latest", "rollback")
            assert "TheirsD" in str(error)
    async with desk_at(tmp_path, yard.restate, service_url=worker.url) as desk:
        with nothing_changes(yard.restate):
            new_url = desk.by_person(REDEPLOY, url=f"{worker.url}/new")
            for request in (desk.by_person(REDEPLOY, allow=["rollback"]), new_url):
                error = await desk.refused(request)
                assert (error.reason, error.override) == ("foreign", "foreign")
        assert served_by(yard.restate, "TheirsD") == holder
        request = desk.by_person(REDEPLOY, allow=["rollback", "foreign"])
        assert (await desk.perform(request)).allowed == ("foreign", "rollback")
    assert served_by(yard.restate, "TheirsD") != holder


async def test_a_worker_that_answers_differently_is_in_the_middle_of_a_rollout(
    yard: Yard, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """Two dry runs apart in time must agree before a policy acts on what they show."""
    flapping = ServiceSpec("FlapE")
    worker = worker_factory(flapping, alternate=[flapping, ServiceSpec("NewE")])
    yard.restate.register(worker.url)
    async with desk_at(tmp_path, yard.restate, service_url=worker.url) as desk:
        with nothing_changes(yard.restate):
            error = await desk.refused(desk.by_policy(REDEPLOY, stable_for=BRIEF))
            assert (error.reason, error.override) == ("unstable", None)


async def test_a_policy_does_not_register_for_nothing(yard: Yard, tmp_path: Path) -> None:
    """Nothing differs, or what is missing is not offered: registering would be no repair."""
    same = yard.new_url()
    yard.restate.register(same)
    async with desk_at(tmp_path, yard.restate, service_url=same) as desk:
        with nothing_changes(yard.restate):
            error = await desk.refused(desk.by_policy(REDEPLOY, stable_for=BRIEF))
            assert (error.reason, error.override) == ("would-not-help", None)
    lacking = {"service_url": yard.new_url(), "expected_services": ["Nowhere"]}
    async with desk_at(tmp_path, yard.restate, **lacking) as desk:
        with nothing_changes(yard.restate):
            seen = {"services.missing": ["Nowhere"]}
            error = await desk.refused(desk.by_policy(REDEPLOY, values=seen, stable_for=BRIEF))
            assert (error.reason, error.override) == ("would-not-help", None)
            assert "Nowhere" in str(error)


async def test_a_worker_that_does_not_answer_is_not_registered(yard: Yard, tmp_path: Path) -> None:
    """The failed discovery is told as such, and a person's attempt is in the ledger."""
    (port,) = free_ports(1)
    async with desk_at(tmp_path, yard.restate, service_url=f"http://127.0.0.1:{port}") as desk:
        with nothing_changes(yard.restate):
            for request in (desk.by_policy(REDEPLOY, stable_for=BRIEF), desk.by_person(REDEPLOY)):
                with pytest.raises(DiscoveryFailedError) as caught:
                    await desk.perform(request)
                assert caught.value.reachable == "no"
        row = await desk.row()
        assert (row.actor, row.outcome) == (PERSON, Outcome.REFUSED)
        assert (row.error or "").startswith(f"{Reason.HTTP_STATUS}: [META0003]")


async def test_one_of_several_workers_has_to_be_named(yard: Yard, tmp_path: Path) -> None:
    """With several workers nothing is guessed; with none there is nothing to guess."""
    several = [{"url": yard.new_url()}, {"url": yard.new_url()}]
    for workers in (several, []):
        async with desk_at(tmp_path, yard.restate, workers=workers) as desk:
            with nothing_changes(yard.restate):
                for request in (desk.by_policy(REDEPLOY), desk.by_person(REDEPLOY)):
                    assert (await desk.refused(request)).reason == "url-missing"


async def test_without_force_a_known_url_is_left_as_it_is(yard: Yard, tmp_path: Path) -> None:
    """The server answers before any discovery, and that is not taken for a difference."""
    url = yard.new_url()
    yard.restate.register(url)
    async with desk_at(tmp_path, yard.restate, service_url=url) as desk:
        with nothing_changes(yard.restate):
            done = await desk.perform(desk.by_person(REDEPLOY, force=False))
            assert done.outcome is Outcome.VERIFIED


def served_by(restate: Restate, service: str) -> str:
    """The id of the deployment that serves it now."""
    answer = restate.admin("GET", f"/services/{service}")
    return str(answer.raise_for_status().json()["deployment_id"])
