"""Policies over what has completed, on real servers: forgetting it, and running it again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from exporter.model.component import Component
from exporter.model.errors import RefusedError
from exporter.model.items import invocation_key
from exporter.model.views import InvocationItem
from exporter.restate_api import connect
from exporter.restate_api import invocations as asked
from exporter.transport import Transport
from lab import Restate, RestateServer, ServiceSpec, Version
from tests.integration.surgery import row_of, send, surgery, until
from tests.medic import Medic, target_of
from tests.support import ServerFactory, WorkerFactory

PLAIN = ServiceSpec("Plain")
OTHER = ServiceSpec("Other")
FLOW = ServiceSpec("Flow", "workflow", ("run", "ask"))
ONCE = {"scope": "item", "max": 1, "per": "forever"}


def rule(action: str, service: object, when: str, **changes: object) -> dict[str, object]:
    """A quick policy over what has completed of some services."""
    return {
        "name": action,
        "mode": "enforce",
        "for_each": "invocations.completed",
        "when": when,
        "for": "1s",
        "action": {action: {"service": service, "max_items": 9, "accept_risk": True}},
        "cooldown": "1s",
        "limits": [ONCE],
        "verify": {"within": "30s", "healthy_for": "1s"},
        **changes,
    }


def done(restate: Restate, service: str, body: str, key: str | None = None) -> str:
    return until(restate, send(restate, service, body, key), "completed")


def state_of(restate: Restate, service: str) -> list[str]:
    rows = restate.query(f"SELECT service_key FROM state WHERE service_name = '{service}'")
    return sorted(str(row["service_key"]) for row in rows)


def test_old_completed_work_is_forgotten_and_nothing_else(
    fresh_restate: ServerFactory,
    worker_factory: WorkerFactory,
    any_version: Version,
    tmp_path: Path,
) -> None:
    """Of the services named, what has succeeded and is old enough; a run's state goes with it."""
    restate = fresh_restate(any_version)
    restate.register(worker_factory(PLAIN, OTHER, FLOW).url)
    gone = [done(restate, "Plain", "go") for _ in range(3)] + [done(restate, "Flow", "go", "k1")]
    kept = [
        done(restate, "Other", "go"),
        done(restate, "Plain", "fail"),
        done(restate, "Flow", "fail", "k2"),
        until(restate, send(restate, "Plain", "sleep"), "suspended"),
        until(restate, send(restate, "Flow", "wait", "k3"), "suspended"),
    ]
    assert state_of(restate, "Flow") == ["k1", "k2", "k3"]
    when = 'item.result == "success" && item.age > duration("3s")'
    policies = [rule("purge-invocations", ["Plain", "Flow"], when)]
    with Medic(tmp_path, targets=[target_of(restate)], policies=policies) as medic:
        medic.wait_for(lambda: not any(row_of(restate, one) for one in gone), "them to be gone")
        medic.wait_for(lambda: medic.events("operation.closed"), "its end")
        late = done(restate, "Plain", "go")
        medic.wait_for(lambda: not row_of(restate, late), "what has grown old meanwhile")
        medic.wait_for(
            lambda: (
                [d["result"] for d in medic.decisions() if d["policy"] == "purge-invocations"]
                == ["clear"] * 2
            ),
            "only the failed ones to be left",
        )
        rows = medic.operations()
    assert {row["outcome"] for row in rows} == {"verified"}
    assert sorted(key.partition("@")[0] for row in rows for key in row["items"]) == sorted(
        [*gone, late]
    )
    assert all(row_of(restate, one) for one in kept)
    assert state_of(restate, "Flow") == ["k2", "k3"]
    assert restate.call("Flow", "run", "go", key="k1", send=True).json()["status"] == "Accepted"


def test_what_is_run_again_is_run_once(
    fresh_restate: ServerFactory,
    worker_factory: WorkerFactory,
    any_version: Version,
    tmp_path: Path,
) -> None:
    """The old one stays as it is, and is left alone from then on, also after a restart."""
    restate = fresh_restate(any_version)
    restate.register(worker_factory(PLAIN).url)
    killed = until(restate, send(restate, "Plain", "sleep"), "suspended")
    restate.admin("PATCH", f"/invocations/{killed}/kill").raise_for_status()
    until(restate, killed, "completed")
    done(restate, "Plain", "go")
    policies = [rule("restart-invocations", "Plain", 'item.result == "killed"')]
    medic = Medic(tmp_path, targets=[target_of(restate)], policies=policies)
    with medic:
        medic.wait_for(lambda: medic.events("operation.closed"), "its end")
        medic.wait_for(lambda: medic.holds("restart-invocations") >= {"limit_item"}, "the limit")
        medic.terminate()
    with medic:
        medic.wait_for(lambda: medic.holds("restart-invocations") >= {"limit_item"}, "the limit")
        (row,) = medic.operations()
    assert row["outcome"] == "verified"
    (new,) = row["after"]["restarted"].values()
    assert row_of(restate, new)["restarted_from"] == killed
    assert restate.status(new) == "suspended"
    assert len(restate.query("SELECT id FROM sys_invocation_status WHERE status <> 'x'")) == 3


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with Transport() as made:
        yield made


async def test_of_too_much_both_ends_are_listed(
    any_restate: RestateServer,
    worker_factory: WorkerFactory,
    transport: Transport,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The oldest and the newest of each service's successes and failures; and that it was cut."""
    restate, left, right = any_restate, ServiceSpec("EndsLeft"), ServiceSpec("EndsRight")
    restate.register(worker_factory(left, right).url)
    good = [done(restate, "EndsLeft", "go") for _ in range(5)]
    bad = [done(restate, "EndsLeft", "fail") for _ in range(5)]
    few = [done(restate, "EndsRight", "go")]
    api = connect(transport, ingress_url=restate.ingress_url, admin_url=restate.admin_url)
    both = frozenset({"EndsLeft", "EndsRight"})
    whole = await api.invocations.completed(both)
    assert (whole.complete, {item.id for item in whole.items}) == (True, {*good, *bad, *few})
    assert [item.id for item in whole.items] == [*good, *bad, *few]
    assert {item.result for item in whole.items if item.id in bad} == {"error"}
    monkeypatch.setattr(asked, "LIST_LIMIT", 5)
    cut = await api.invocations.completed(both)
    assert not cut.complete
    assert [item.id for item in cut.items] == [good[0], good[-1], bad[0], bad[-1], *few]
    everything = await api.invocations.completed(frozenset())
    assert len(everything.items) == 5


async def test_a_run_whose_sleep_is_to_fire_is_not_forgotten_by_a_policy(
    fresh_restate: ServerFactory,
    worker_factory: WorkerFactory,
    any_version: Version,
    tmp_path: Path,
) -> None:
    """Before 1.8 it would fire into the key's next run; what is not known holds as well."""
    restate = fresh_restate(any_version)
    restate.register(worker_factory(FLOW, PLAIN).url)
    slept = until(restate, send(restate, "Flow", "sleep", "k"), "suspended")
    restate.admin("PATCH", f"/invocations/{slept}/kill").raise_for_status()
    unknown = done(restate, "Flow", "go", "u")
    restate.admin("PATCH", f"/invocations/{unknown}/purge-journal").raise_for_status()
    until(restate, slept, "completed")
    fine = done(restate, "Plain", "go")
    async with surgery(tmp_path, restate) as person:
        lookups = person.context.api.lookups
        found = {k: v.item for k, v in (await lookups.by_id([slept, unknown, fine])).items()}

        async def plan(*ids: str) -> object:
            await person.engine.read("prod", frozenset(Component))
            request = replace(
                person.request("purge-invocations", service=("any",), max_items=9),
                source="policy",
                items=tuple(key(found[id_]) for id_ in ids),
            )
            purge = person.backend.remedies["purge-invocations"]
            return await purge.preflight(person.context, request)

        for id_, word in ((slept, "unfired-sleep"), (unknown, "unknown-sleeps")):
            with pytest.raises(RefusedError) as refused:
                await plan(id_)
            assert refused.value.reason == word
        made = await plan(slept, fine)
        assert getattr(made, "items", None) == (key(found[fine]),)
        byhand = await person.perform(
            "purge-invocations", ids=[slept, unknown], within=timedelta(seconds=5)
        )
        assert str(byhand.outcome) == "verified"


def key(item: InvocationItem) -> str:
    return invocation_key(item.id, item.created_at)
