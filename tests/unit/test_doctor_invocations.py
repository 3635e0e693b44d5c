"""Which questions the invocations probe asks, and how it reads the answers."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.model.component import Component
from exporter.model.views import InvocationsView
from exporter.model.wanted import Wanted
from exporter.restate_api import invocations as asked
from tests.unit import hostile
from tests.unit.fake_restate import CREATED, FakeRestate, read_all, service

_NOTHING_MORE = Wanted()


def _group(status: str, n: int = 1, ty: str = "service", **more: Any) -> dict[str, Any]:
    return {
        "target_service_name": "Greeter",
        "target_service_ty": ty,
        "status": status,
        "n": n,
        "oldest_created": CREATED,
        "oldest_modified": CREATED,
        "failures_24h": 0,
        **more,
    }


def _row(id_: str, status: str, ty: str = "service", **more: Any) -> dict[str, Any]:
    return {
        "id": id_,
        "target_service_name": "Greeter",
        "target_service_ty": ty,
        "target_handler_name": "run",
        "status": status,
        "created_at": CREATED,
        "modified_at": CREATED,
        **more,
    }


class Tables:
    """Answers the probe's statements by what they ask for."""

    def __init__(self, groups: list[dict[str, Any]], **rows: list[dict[str, Any]]) -> None:
        self.groups = groups
        self.rows = rows

    def __call__(self, sql: str) -> list[dict[str, Any]]:
        if "GROUP BY pinned_deployment_id, target_service_name" in sql:
            return self.groups
        for words, name in _ASKED.items():
            if words in sql:
                rows = self.rows.get(name, [])
                narrow = name == "states" and "WHERE id IN" in sql
                return [row for row in rows if row["id"] in sql] if narrow else rows
        return [row for row in self.rows.get("by_id", []) if row["id"] in sql]


_ASKED = {
    "ROW_NUMBER() OVER (PARTITION BY target_service_name": "completed",
    "sys_journal_events": "events",
    "COUNT(1) AS n, SUM": "totals",
    "FROM sys_invocation_state ": "states",
    "GROUP BY target_service_name, target_service_key": "keys",
    "target_service_ty = 'workflow'": "runs",
    "modified_at DESC": "failures",
    "status = 'paused'": "paused",
    "pinned_deployment_id IN": "pinned",
}
"""By words of a statement, in this order: which rows it asks for."""


async def _look(fake: FakeRestate, wanted: Wanted = _NOTHING_MORE) -> InvocationsView:
    async with fake.api() as api:
        readings = await read_all(api, due=[Component.INVOCATIONS], wanted=wanted)
    reading = readings[Component.INVOCATIONS]
    assert isinstance(reading.view, InvocationsView), reading.error
    return reading.view


async def test_a_quiet_server_is_asked_once() -> None:
    """With nothing active and nothing failed, one scan is all: what could be pinned to a deployment
    that is gone is not looked for."""
    fake = FakeRestate(rows=Tables([_group("completed", 5, completion_result="success")]))
    view = await _look(fake)
    assert len(fake.queries) == 1
    assert [path for _, path, _ in fake.calls] == ["/query"]
    assert view.known_deployments == frozenset()
    assert [(g.status, g.result, g.count, g.active) for g in view.groups] == [
        ("completed", "success", 5, False)
    ]
    assert view.scan_seconds > 0


async def test_failures_are_counted_and_listed() -> None:
    """The last day's failures come from the scan, the newest twenty from one more query."""
    failed = _group("completed", 9, completion_result="failure", failures_24h=4)
    fake = FakeRestate(
        rows=Tables([failed], failures=[_row("inv_1", "completed", failure="[500] a\nb")])
    )
    view = await _look(fake)
    assert view.failures_24h == 4
    assert [(f.id, f.key, f.error) for f in view.recent_failures] == [("inv_1", None, "[500] a b")]
    assert f"LIMIT {asked.RECENT_FAILURES}" in fake.queries[1]
    assert view.failed_runs == ()
    assert len(fake.queries) == 2


async def test_failed_runs_with_their_siblings() -> None:
    """Failed workflow runs know how many invocations of their key still live; failures of
    handlers known to be shared are no failed runs, whatever their names hold."""
    groups = [
        _group("completed", ty="workflow", completion_result="failure"),
        _group("suspended", ty="workflow"),
    ]
    runs = [
        _row("inv_1", "completed", "workflow", target_service_key="k'1", failure="[409] killed"),
        _row("inv_2", "completed", "workflow", target_service_key="k2", completed_at=CREATED),
    ]
    keys = [{"service": "Greeter", "key": "k'1", "n": 3}, {"service": "Other", "key": "k2", "n": 9}]
    fake = FakeRestate(rows=Tables(groups, runs=runs, keys=keys))
    workflow = service(
        "O'Hara", ty="Workflow", handlers=[("run", "Workflow"), ("ask", "Shared"), ("b'", "Shared")]
    )
    fake.routes["GET", "/services"] = hostile.json_answer({"services": [workflow]})
    view = await _look(fake)
    assert [(r.id, r.key, r.cause, r.active_siblings) for r in view.failed_runs] == [
        ("inv_1", "k'1", "killed", 3),
        ("inv_2", "k2", "error", 0),
    ]
    (statement,) = [q for q in fake.queries if "LIMIT 501" in q and "workflow" in q]
    assert (
        "AND NOT (target_service_name = 'O''Hara' AND target_handler_name IN ('ask', 'b'''))"
        in statement
    )
    assert "target_service_key IN ('k''1', 'k2')" in fake.queries[-2]
    assert view.failed_runs_complete


async def test_who_paused() -> None:
    """Retries exhausted, a person, and not known are told apart by the Paused event and by what
    the leader remembers; error and code come from the event, even from one that is too long."""
    failure = '{"ty":"Paused","last_failure":{"error_code":500,"error_message":"a \\"b\\"",'
    end = '"restate_doc_error_code":"RT0016"}}'
    events = [
        {"id": "inv_1", "size": 99, "head": failure + end, "tail": end},
        {"id": "inv_2", "size": 15, "head": '{"ty":"Paused"}', "tail": '{"ty":"Paused"}'},
        {"id": "inv_3", "size": 99, "head": failure + end, "tail": end},
        {"id": "inv_4", "size": 9999, "head": failure + '"error_stack":"xx', "tail": "xx" + end},
    ]
    fake = FakeRestate(
        rows=Tables(
            [_group("paused", 5)],
            paused=[_row(f"inv_{n}", "paused") for n in range(1, 6)],
            events=events,
            states=[{"id": "inv_3", "in_flight": False, "retry_count": 7}],
            by_id=[_row("inv_3", "paused")],
        )
    )
    view = await _look(fake)
    assert [(i.id, i.paused_by, i.error_code, i.error) for i in view.paused] == [
        ("inv_1", "retries", "RT0016", 'a "b"'),
        ("inv_2", "manual", "", ""),
        ("inv_3", "manual", "RT0016", 'a "b"'),
        ("inv_4", "retries", "RT0016", 'a "b"'),
        ("inv_5", "unknown", "", ""),
    ]
    assert view.journal_mismatch_count == 3
    assert (view.retrying, view.retrying_count) == ((), 0)


async def test_retrying_counts_failed_attempts() -> None:
    """An attempt that runs has not failed yet; what was paused or completed meanwhile, and what
    has left no trace, does not retry."""
    states = [
        {"id": "inv_1", "retry_count": 3, "last_failure_error_code": "RT0007", "failure": "x"},
        {"id": "inv_2", "retry_count": 3, "in_flight": True, "last_failure_error_code": "RT0016"},
        {"id": "inv_3", "retry_count": 9},
        {"id": "inv_4", "retry_count": 9},
    ]
    rows = [_row("inv_1", "invoked"), _row("inv_2", "invoked"), _row("inv_3", "paused")]
    fake = FakeRestate(rows=Tables([_group("invoked", 3)], states=states, by_id=rows))
    view = await _look(fake)
    assert [(i.id, i.retries, i.error_code) for i in view.retrying] == [
        ("inv_1", 3, "RT0007"),
        ("inv_2", 2, "RT0016"),
    ]
    assert (view.retrying_count, view.journal_mismatch_count) == (2, 1)
    assert view.items_complete


async def test_cut_lists_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists longer than the limit are cut and say so; counts stay whole."""
    monkeypatch.setattr(asked, "LIST_LIMIT", 2)
    many = [f"inv_{n}" for n in range(3)]
    fake = FakeRestate(
        rows=Tables(
            [
                _group("paused", 900),
                _group("invoked", 900),
                _group("completed", 900, "workflow", completion_result="failure"),
            ],
            paused=[_row(id_, "paused") for id_ in many],
            states=[{"id": f"{id_}x", "retry_count": 2} for id_ in many],
            by_id=[_row(f"{id_}x", "invoked") for id_ in many],
            totals=[{"n": 700, "mismatched": 30}],
            runs=[_row(id_, "completed", "workflow", target_service_key="k") for id_ in many],
        )
    )
    view = await _look(fake)
    assert (len(view.paused), len(view.retrying), len(view.failed_runs)) == (2, 2, 2)
    assert not view.items_complete
    assert not view.failed_runs_complete
    assert (view.retrying_count, view.journal_mismatch_count) == (700, 30)


async def test_completed_work_is_listed_only_for_who_asks() -> None:
    """One more question, about the services that are wanted, if the scan shows any of them."""
    groups = [
        _group("completed", 5, completion_result="success"),
        _group("completed", 2, completion_result="failure"),
    ]
    rows = [
        _row("inv_3", "completed", completion_result="failure", failure="[500] a\nb"),
        _row("inv_1", "completed", completion_result="success"),
        _row("inv_2", "completed", completion_result="failure", failure="[409] killed"),
    ]
    fake = FakeRestate(rows=Tables(groups, completed=rows))
    usual = await _look(fake)
    asked_before = len(fake.queries)
    assert (usual.completed, usual.items_complete) == (None, True)
    assert not any("ROW_NUMBER" in q for q in fake.queries)
    other = await _look(fake, Wanted(completed=frozenset({"O'Hara"})))
    assert (other.completed, len(fake.queries)) == ((), 2 * asked_before)
    for services, named in (
        (frozenset({"Greeter", "O'Hara"}), "IN ('Greeter', 'O''Hara')"),
        (frozenset[str](), "WHERE status = 'completed')"),
    ):
        view = await _look(fake, Wanted(completed=services))
        assert [(i.id, i.result, i.error) for i in view.completed or ()] == [
            ("inv_1", "success", ""),
            ("inv_2", "killed", "[409] killed"),
            ("inv_3", "error", "[500] a b"),
        ]
        assert named in fake.queries[-1]
    assert len(fake.queries) == 2 * asked_before + 2 * (asked_before + 1)


async def test_a_cut_list_of_completed_work_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not listed is not known to be not there."""
    monkeypatch.setattr(asked, "LIST_LIMIT", 2)
    rows = [_row(f"inv_{n}", "completed", completion_result="success") for n in range(3)]
    fake = FakeRestate(rows=Tables([_group("completed", 9)], completed=rows))
    view = await _look(fake, Wanted(completed=frozenset()))
    assert (len(view.completed or ()), view.items_complete) == (2, False)


async def test_zombies_are_pinned_to_what_is_gone() -> None:
    """Active work pinned to a deployment that is not listed right after the scan is a zombie;
    completed work never is, and a paused zombie keeps what its pause says."""
    groups = [
        _group("paused", 1, pinned_deployment_id="dp_gone"),
        _group("suspended", 1, pinned_deployment_id="dp_gone"),
        _group("suspended", 1, pinned_deployment_id="dp_1"),
        _group("completed", 1, pinned_deployment_id="dp_long_gone", completion_result="success"),
    ]
    event = '{"last_failure":{"error_message":"m","restate_doc_error_code":"RT0011"}}'
    fake = FakeRestate(
        rows=Tables(
            groups,
            paused=[_row("inv_1", "paused", pinned_deployment_id="dp_gone")],
            events=[{"id": "inv_1", "size": 9, "head": event, "tail": event}],
            pinned=[_row("inv_1", "paused"), _row("inv_2", "suspended")],
        )
    )
    view = await _look(fake)
    assert [(i.id, i.error_code) for i in view.zombies] == [("inv_1", "RT0011"), ("inv_2", "")]
    (statement,) = [q for q in fake.queries if "pinned_deployment_id IN" in q]
    assert "IN ('dp_gone')" in statement


async def test_narrow_counts() -> None:
    """The look-ups before a deletion answer for every name asked, and ask nothing for none."""
    fake = FakeRestate(rows=lambda _: [{"name": "a'b", "n": 4}])
    async with fake.api() as api:
        assert await api.invocations.active_count_pinned([]) == {}
        assert await api.invocations.active_count_pinned(["a'b", "c"]) == {"a'b": 4, "c": 0}
        assert await api.invocations.active_unpinned(["a'b"]) == {"a'b": 4}
    pinned, unpinned = fake.queries
    assert "pinned_deployment_id IN ('a''b', 'c')" in pinned
    assert "pinned_deployment_id IS NULL AND target_service_name IN ('a''b')" in unpinned
