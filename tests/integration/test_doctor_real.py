"""The doctor on real Restate servers of every supported version, with real workers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from exporter.doctor import PROBES, ProbeContext, probe_all
from exporter.model.component import RECOVERY_API_COMPONENTS, Component, Reason, Status
from exporter.model.drift import Drift, compare
from exporter.model.errors import CallFailedError
from exporter.model.report import Reading
from exporter.model.target import Target, Worker, normalise_url
from exporter.model.views import (
    AdminView,
    DeploymentsView,
    Discovery,
    DriftView,
    Handler,
    IngressView,
    InvocationsView,
    ServiceShape,
    ServicesView,
)
from exporter.restate_api import (
    DiscoveryFailedError,
    Query,
    Registration,
    RestateApi,
    connect,
    literal,
)
from exporter.restate_api.rows import CountRow
from exporter.transport import Transport
from lab import Restate, ServiceSpec, Version, wait_until
from tests.support import ServerFactory, WorkerFactory


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with Transport() as made:
        yield made


def _api(restate: Restate, transport: Transport) -> RestateApi:
    return connect(transport, ingress_url=restate.ingress_url, admin_url=restate.admin_url)


async def _read(api: RestateApi, *workers: str) -> dict[Component, Reading]:
    target = Target("real", workers=tuple(Worker(normalise_url(url)) for url in workers))
    readings = await probe_all(
        PROBES, Component, context=ProbeContext(api, target), clock=lambda: datetime.now(UTC)
    )
    return {reading.component: reading for reading in readings}


async def _invocations(api: RestateApi) -> InvocationsView:
    view = (await _read(api))[Component.INVOCATIONS].view
    assert isinstance(view, InvocationsView)
    return view


async def _discovery(api: RestateApi, url: str) -> Discovery:
    reading = (await _read(api, url))[Component.DRIFT]
    assert isinstance(reading.view, DriftView), reading.error
    found = reading.view.of(normalise_url(url))
    assert found is not None
    return found


def _until(restate: Restate, sql: str, check: Callable[[list[dict[str, Any]]], bool]) -> None:
    wait_until(lambda: check(restate.query(sql)), what=sql)


def _registered(restate: Restate) -> Any:
    """Everything that is registered; the server's order within lists changes from call to call."""

    def in_order(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: in_order(inner) for name, inner in value.items()}
        return sorted(map(in_order, value), key=str) if isinstance(value, list) else value

    return in_order([restate.deployments(), restate.services()])


def _status_is(restate: Restate, invocation_id: str, status: str) -> None:
    sql = f"SELECT status FROM sys_invocation_status WHERE id = '{invocation_id}'"
    _until(restate, sql, lambda rows: [row["status"] for row in rows] == [status])


def _send(restate: Restate, service: str, body: str, key: str | None = None) -> str:
    answer = restate.call(service, "run", body, key=key, send=True)
    return str(answer.json()["invocationId"])


async def test_a_healthy_environment(
    fresh_restate: ServerFactory,
    any_version: Version,
    worker_factory: WorkerFactory,
    transport: Transport,
) -> None:
    """Every component of a healthy environment is ok, and its view says what the server says."""
    restate = fresh_restate(any_version)
    worker = worker_factory(
        ServiceSpec("Plain"),
        ServiceSpec("Cart", "object", ("run", "peek")),
        ServiceSpec("Signup", "workflow", ("run", "ask")),
    )
    registered = restate.register(worker.url, metadata={"team": "a"})
    readings = await _read(_api(restate, transport), worker.url)
    everywhere = (*RECOVERY_API_COMPONENTS, Component.DRIFT)
    assert {c: (r.status, r.error) for c, r in readings.items()} == dict.fromkeys(
        everywhere, (Status.OK, None)
    )
    assert all(reading.latency_seconds for reading in readings.values())
    names = frozenset({"Plain", "Cart", "Signup"})
    assert readings[Component.INGRESS].view == IngressView(names)
    admin = readings[Component.ADMIN].view
    assert isinstance(admin, AdminView)
    assert admin.version == restate.version()
    assert admin.cluster == "localcluster"
    deployments = readings[Component.DEPLOYMENTS].view
    assert isinstance(deployments, DeploymentsView)
    (deployment,) = deployments.items
    assert (deployment.id, deployment.url, deployment.kind) == (
        registered["id"],
        normalise_url(worker.url),
        "http",
    )
    assert frozenset(deployment.services) == names
    assert deployment.metadata == {"team": "a"}
    assert abs((datetime.now(UTC) - deployment.created_at).total_seconds()) < 60
    services = readings[Component.SERVICES].view
    assert isinstance(services, ServicesView)
    shape = services.get("Signup")
    assert shape is not None
    assert shape.shape == ServiceShape(
        "Signup", "workflow", (Handler("ask", "Shared"), Handler("run", "Workflow"))
    )
    assert {s.name: s.shape.type for s in services.items} == {
        "Plain": "service",
        "Cart": "object",
        "Signup": "workflow",
    }
    drift = readings[Component.DRIFT].view
    assert isinstance(drift, DriftView)
    (found,) = drift.discoveries
    assert (found.reachable, found.deployment_id, found.latest) == ("yes", deployment.id, True)
    assert compare(found.discovered, found.registered) == Drift()


async def test_a_forgotten_registration_is_drift(
    fresh_restate: ServerFactory,
    any_version: Version,
    worker_factory: WorkerFactory,
    transport: Transport,
) -> None:
    """A worker rolled without registering again shows as exactly what was added, dropped and
    changed; discovering it changes nothing on the server."""
    restate = fresh_restate(any_version)
    worker = worker_factory(ServiceSpec("A", handlers=("run", "old")), ServiceSpec("B"))
    restate.register(worker.url)
    worker.roll([ServiceSpec("A", "object", ("run", "new")), ServiceSpec("C")])
    before = _registered(restate)
    found = await _discovery(_api(restate, transport), worker.url)
    drift = compare(found.discovered, found.registered)
    assert (set(drift.added), set(drift.dropped)) == ({"A/new", "C"}, {"A/old", "B"})
    assert (drift.changed, drift.type_changed) == (("A/run",), ("A",))
    assert _registered(restate) == before


async def test_an_unregistered_worker_and_a_replaced_one(
    fresh_restate: ServerFactory,
    any_version: Version,
    worker_factory: WorkerFactory,
    transport: Transport,
) -> None:
    """A worker nobody registered is compared with its namesakes; a replaced one is not latest."""
    restate = fresh_restate(any_version)
    old, new = worker_factory(ServiceSpec("A")), worker_factory(ServiceSpec("A"), ServiceSpec("B"))
    restate.register(old.url)
    api = _api(restate, transport)
    found = await _discovery(api, new.url)
    assert (found.deployment_id, found.latest, found.reachable) == (None, False, "yes")
    assert compare(found.discovered, found.registered) == Drift(added=("B",))
    restate.register(new.url)
    assert (await _discovery(api, new.url)).latest
    assert not (await _discovery(api, old.url)).latest


async def test_endpoints_that_do_not_work(
    fresh_restate: ServerFactory,
    any_version: Version,
    worker_factory: WorkerFactory,
    transport: Transport,
) -> None:
    """A dead endpoint, and one that is no SDK's, are reachable "no" with Restate's words."""
    restate = fresh_restate(any_version)
    worker = worker_factory(ServiceSpec("A"))
    restate.register(worker.url)
    worker.stop()
    api = _api(restate, transport)
    dead = await _discovery(api, worker.url)
    assert (dead.reachable, dead.latest) == ("no", True)
    assert "onnection refused" in dead.error
    assert (await _discovery(api, restate.admin_url)).reachable == "no"
    with pytest.raises(DiscoveryFailedError) as caught:
        await api.admin.dry_run(Registration.of("not a url"))
    assert caught.value.unreachable


async def test_invocations_of_every_fate(
    fresh_restate: ServerFactory,
    any_version: Version,
    worker_factory: WorkerFactory,
    transport: Transport,
) -> None:
    """One scan round shows what failed, what is killed or cancelled, who paused what, what
    retries, and which failed keys still have something alive."""
    restate = fresh_restate(any_version)
    worker = worker_factory(
        ServiceSpec("Flaky", pause_after=2),
        ServiceSpec("Looper"),
        ServiceSpec("Cart", "object"),
        ServiceSpec("Signup", "workflow", ("run", "ask")),
    )
    pinned = restate.register(worker.url)["id"]
    _send(restate, "Signup", "fail", "k1")
    restate.call("Signup", "ask", "wait", key="k1", send=True)
    restate.call("Signup", "ask", "fail", key="k2", send=True)
    killed, cancelled = (_send(restate, "Signup", "wait", key) for key in ("k3", "k4"))
    exhausted, looping = _send(restate, "Flaky", "crash"), _send(restate, "Looper", "crash")
    backing_off = _send(restate, "Looper", "crash")
    for waiting in (killed, cancelled, _send(restate, "Cart", "sleep", "c")):
        _status_is(restate, waiting, "suspended")
    _status_is(restate, exhausted, "paused")
    # Paused in the middle of an attempt, it would look like one whose retries ran out.
    state = f"SELECT retry_count, in_flight FROM sys_invocation_state WHERE id = '{backing_off}'"
    _until(
        restate,
        state,
        lambda rows: bool(rows) and rows[0]["retry_count"] > 2 and not rows[0]["in_flight"],
    )
    for invocation, verb in [(killed, "kill"), (cancelled, "cancel"), (backing_off, "pause")]:
        assert restate.admin("PATCH", f"/invocations/{invocation}/{verb}").is_success
    for invocation in (killed, cancelled):
        _status_is(restate, invocation, "completed")
    _status_is(restate, backing_off, "paused")

    view = await _invocations(_api(restate, transport))
    assert {(r.key, r.handler, r.cause, r.active_siblings) for r in view.failed_runs} == {
        ("k1", "run", "error", 1),
        ("k3", "run", "killed", 0),
        ("k4", "run", "cancelled", 0),
    }
    assert view.failures_24h == len(view.recent_failures) == 4
    times = [failure.failed_at for failure in view.recent_failures]
    assert times == sorted(times, reverse=True)
    paused = {item.id: item for item in view.paused}
    assert {id_: item.paused_by for id_, item in paused.items()} == {
        exhausted: "retries",
        backing_off: "manual",
    }
    assert paused[exhausted].error_code == "RT0007"
    assert "told to crash" in paused[exhausted].error
    assert [item.id for item in view.retrying] == [looping]
    assert view.retrying_count == 1
    assert view.retrying[0].retries >= 1
    assert "told to crash" in view.retrying[0].error
    assert (view.zombies, view.items_complete, view.journal_mismatch_count) == ((), True, 0)
    counted = {(g.service, g.service_type, g.status): g.count for g in view.groups if g.active}
    assert counted == {
        ("Flaky", "service", "paused"): 1,
        ("Looper", "service", "paused"): 1,
        ("Looper", "service", "invoked"): 1,
        ("Cart", "object", "suspended"): 1,
        ("Signup", "workflow", "suspended"): 1,
    }
    api = _api(restate, transport)
    assert await api.invocations.active_count_pinned([pinned, "dp_x"]) == {pinned: 2, "dp_x": 0}
    assert await api.invocations.active_unpinned(["Looper", "Cart"]) == {"Looper": 2, "Cart": 0}


async def test_zombies(
    fresh_restate: ServerFactory,
    any_version: Version,
    worker_factory: WorkerFactory,
    transport: Transport,
) -> None:
    """Work pinned to a deployment that was deleted is a zombie; deleting it twice is told."""
    restate = fresh_restate(any_version)
    worker = worker_factory(ServiceSpec("Signup", "workflow"))
    deployment = restate.register(worker.url)["id"]
    waiting = _send(restate, "Signup", "wait", "k")
    _status_is(restate, waiting, "suspended")
    api = _api(restate, transport)
    assert (await _invocations(api)).zombies == ()
    assert await api.admin.delete_deployment(deployment)
    assert not await api.admin.delete_deployment(deployment)
    view = await _invocations(api)
    assert [(item.id, item.deployment_id) for item in view.zombies] == [(waiting, deployment)]
    assert view.known_deployments is not None
    assert deployment not in view.known_deployments


async def test_registering_again_keeps_what_is_sent_again(
    fresh_restate: ServerFactory,
    any_version: Version,
    worker_factory: WorkerFactory,
    transport: Transport,
) -> None:
    """Re-sending a deployment's own registration keeps id, headers, metadata and HTTP version;
    overrides of a service are reset by it and can be put back from the snapshot."""
    restate = fresh_restate(any_version)
    worker = worker_factory(ServiceSpec("A"))
    registered = restate.register(
        worker.url, metadata={"a": "b"}, additional_headers={"x-key": "hunter2"}, use_http_11=True
    )
    api = _api(restate, transport)
    await api.admin.patch_service("A", {"public": False, "journal_retention": "2days"})
    registered_before = _registered(restate)
    before, settings = restate.deployments(), await api.admin.get_service("A")
    whole = await api.admin.deployment(registered["id"])
    assert whole is not None
    assert settings is not None
    assert whole.registration.use_http_11
    assert "hunter2" not in repr(whole)

    dry = await api.admin.dry_run(whole.registration)
    assert _registered(restate) == registered_before
    done = await api.admin.register(whole.registration)
    assert (done.deployment_id, done.created) == (registered["id"], False)
    assert dry == done
    for name in ("id", "uri", "additional_headers", "metadata", "http_version"):
        assert restate.deployments()[0][name] == before[0][name]

    reset = await api.admin.get_service("A")
    assert reset is not None
    changed = {k: v for k, v in settings.settings.items() if reset.settings.get(k) != v}
    assert changed == {"public": False, "journal_retention": "2d"}
    restored = await api.admin.patch_service("A", changed)
    assert restored.settings == settings.settings


async def test_a_worker_with_user_info_in_its_url(
    fresh_restate: ServerFactory,
    any_version: Version,
    worker_factory: WorkerFactory,
    transport: Transport,
) -> None:
    """Restate keeps user info in a deployment's URL; no error text repeats it."""
    restate = fresh_restate(any_version)
    worker = worker_factory(ServiceSpec("A"))
    restate.register(worker.url.replace("://", "://bob:hunter2@"))
    worker.stop()
    view = (await _read(_api(restate, transport)))[Component.DRIFT].view
    assert isinstance(view, DriftView)
    assert view.discoveries[0].reachable == "no"
    assert "hunter2" not in view.discoveries[0].error


@pytest.mark.parametrize("text", ["O'Hara", "a''b", "\\", "\\'", '"', "ü€😀", "--x", "; /* %s {}"])
async def test_literals_on_the_real_server(
    any_restate: Restate, transport: Transport, text: str
) -> None:
    """A literal comes back from the server's SQL as it went in."""
    query = Query(transport.client(any_restate.admin_url))
    (row,) = await query.rows(f"SELECT {literal(text)} AS name, 1 AS n", CountRow)
    assert row.name == text


async def test_an_sql_error_on_the_real_server(any_restate: Restate, transport: Transport) -> None:
    """What Restate answers to bad SQL is `query_failed`, with its words, on every version."""
    query = Query(transport.client(any_restate.admin_url))
    with pytest.raises(CallFailedError) as caught:
        await query.rows("SELECT nothing FROM nowhere", CountRow)
    assert caught.value.reason is Reason.QUERY_FAILED
    assert "nowhere" in str(caught.value)


async def test_a_server_that_dies(
    fresh_restate: ServerFactory, any_version: Version, transport: Transport
) -> None:
    """After the server is gone every component is unreachable, on kept connections too."""
    restate = fresh_restate(any_version)
    api = _api(restate, transport)
    assert {r.status for r in (await _read(api)).values()} == {Status.OK}
    restate.kill()
    readings = await _read(api)
    assert {r.status for r in readings.values()} == {Status.UNREACHABLE}
    assert {r.reason for r in readings.values()} <= {Reason.REFUSED, Reason.RESET}
