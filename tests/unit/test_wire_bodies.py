"""Decisions, operations and plans as JSON: every field, one format of time, no secret."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from exporter.model.decision import Decision, Mode, Result, Subject, Verdict, Waiting
from exporter.model.hold import HoldReason
from exporter.model.operation import Operation, Outcome, Phase, Plan, PolicyRef
from exporter.wire.acts import plan_body
from exporter.wire.decisions import decision_body
from exporter.wire.operation import operation_json

NOW = datetime(2026, 5, 9, 10, 0, 0, 123_456, tzinfo=UTC)
SHOWN = "2026-05-09T10:00:00.123Z"
URL = "http://user:hunter2@w:9080/v1"
SAFE_URL = "http://REDACTED@w:9080/v1"
OPERATION = Operation(
    id="op_1",
    target="prod",
    remedy="force-redeploy",
    source="policy",
    actor="policy:heal",
    mode=Mode.ENFORCE,
    phase=Phase.CLOSED,
    created_at=NOW,
    arguments={"url": "http://w:9080/"},
    policy=PolicyRef("heal", "abc123"),
    items=("http://w:9080/",),
    values={"services.missing": ["Greeter"]},
    outcome=Outcome.VERIFIED,
    acted_at=NOW,
    finished_at=NOW,
)


def test_a_held_decision_says_everything_about_itself() -> None:
    """Which gate holds and why, since when, on which values, and every other gate's word."""
    decision = Decision(
        Subject("heal", "prod", URL),
        Result.HOLD,
        HoldReason.COOLDOWN,
        f"{URL} was registered lately",
        Mode.ENFORCE,
        "force-redeploy",
        Waiting(NOW, {"services": (NOW, 3), "drift": (NOW, 2)}),
        {"item.url": URL, "ingress.age": timedelta(seconds=150), "n": 1, "up": True, "at": NOW},
        (
            Verdict(HoldReason.MODE_OFF, holds=False),
            Verdict(HoldReason.COOLDOWN, holds=True, detail=f"not {URL}", until=NOW),
        ),
    )
    body = decision_body(decision, NOW).model_dump(mode="json")
    assert body == {
        "policy": "heal",
        "target": "prod",
        "item": SAFE_URL,
        "result": "hold",
        "reason": "cooldown",
        "detail": f"{SAFE_URL} was registered lately",
        "mode": "enforce",
        "remedy": "force-redeploy",
        "since": SHOWN,
        "waiting": {"since": SHOWN, "readings": 2},
        "values": {
            "item.url": SAFE_URL,
            "ingress.age": "2m30s",
            "n": 1,
            "up": True,
            "at": SHOWN,
        },
        "verdicts": [
            {"gate": "mode_off", "holds": False, "detail": "", "until": None},
            {"gate": "cooldown", "holds": True, "detail": f"not {SAFE_URL}", "until": SHOWN},
        ],
    }
    assert json.loads(json.dumps(body)) == body


def test_a_clear_decision_has_no_reason() -> None:
    """Absent things are null, not left out."""
    body = decision_body(Decision(Subject("heal", "prod"), Result.CLEAR), None)
    shown = body.model_dump(mode="json")
    assert [shown[name] for name in ("item", "reason", "since", "waiting")] == [None] * 4


def test_an_operation_is_the_whole_row() -> None:
    """In camel case, moments in milliseconds with Z, absent things null."""
    assert operation_json(OPERATION) == {
        "id": "op_1",
        "target": "prod",
        "remedy": "force-redeploy",
        "source": "policy",
        "actor": "policy:heal",
        "role": None,
        "route": None,
        "policy": "heal",
        "policyRevision": "abc123",
        "mode": "enforce",
        "phase": "closed",
        "outcome": "verified",
        "askedAt": None,
        "createdAt": SHOWN,
        "actedAt": SHOWN,
        "finishedAt": SHOWN,
        "summary": "",
        "arguments": {"url": "http://w:9080/"},
        "items": ["http://w:9080/"],
        "values": {"services.missing": ["Greeter"]},
        "reason": "",
        "allowed": [],
        "before": {},
        "after": {},
        "error": None,
        "requestId": None,
        "approvedBy": None,
        "approvedAt": None,
        "expiresAt": None,
        "relapsedAt": None,
    }


@pytest.mark.parametrize(
    "name", ["policy", "policyRevision", "outcome", "askedAt", "actedAt", "finishedAt"]
)
def test_an_open_operation_of_a_person_has_nulls(name: str) -> None:
    """What is not known yet, or does not apply."""
    body = operation_json(
        Operation(
            id="op_1",
            target="prod",
            remedy="force-redeploy",
            source="cli",
            actor="mira",
            mode=Mode.ENFORCE,
            phase=Phase.RESERVED,
            created_at=NOW,
            arguments={},
        )
    )
    assert body[name] is None


def test_a_plan_shows_no_secret() -> None:
    """Its arguments may carry user info, which Restate needs and nobody else does."""
    plan = Plan(
        remedy="force-redeploy",
        target="prod",
        summary=f"register {URL} again",
        arguments={"url": URL, "force": True},
        rests_on={"secret": "hunter2"},
        before={"deploymentId": None, "additional_headers": {"x-tenant": "hunter2"}},
        steps=(f"register {URL}",),
    )
    body = plan_body(plan).as_json()
    assert "hunter2" not in json.dumps(body)
    assert body["arguments"] == {"url": SAFE_URL, "force": True}
    assert body["steps"] == [f"register {SAFE_URL}"]
    assert set(body) == {
        "remedy",
        "target",
        "summary",
        "arguments",
        "steps",
        "items",
        "before",
        "allowed",
        "id",
    }
