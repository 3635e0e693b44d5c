"""What a policy may propose to kill: only what readings have shown dead, and what is replaced."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from exporter.model.operation import Request
from exporter.remedies import force_drain
from exporter.remedies.batch import No

OLD = SimpleNamespace(id="dp_old", services=("Greeter",))
OTHER = SimpleNamespace(id="dp_other", services=("Greeter", "Mailer"))


@pytest.mark.parametrize(
    ("ghosts", "source", "doomed"),
    [
        (["dp_old", "dp_other"], "policy", {"dp_old"}),
        ([], "policy", set()),
        (None, "policy", set()),
        ([], "cli", {"dp_old", "dp_other"}),
    ],
    ids=["seen dead", "only away", "nothing known", "a person"],
)
async def test_what_may_be_killed(
    monkeypatch: pytest.MonkeyPatch, ghosts: list[str] | None, source: str, doomed: set[str]
) -> None:
    """All are silent now. What serves more than the kept one does is left to a person."""

    async def dead(_context: object, _id: str) -> No:
        return No(force_drain.DEAD, "it does not answer")

    async def pinned(_ids: list[str]) -> Any:
        return SimpleNamespace(items=(), complete=True)

    monkeypatch.setattr(force_drain, "endpoint_of", dead)
    found = {one.id: one for one in (OLD, OTHER)}
    findings = None if ghosts is None else SimpleNamespace(values={"deployments.ghost": ghosts})
    api = SimpleNamespace(invocations=SimpleNamespace(pinned_to=pinned))
    survey = SimpleNamespace(
        in_state=lambda _state: list(found),
        registered=SimpleNamespace(get=found.get),
        keep=SimpleNamespace(services=("Greeter", "Counter")),
    )
    request = Request(
        target="prod",
        remedy="cleanup-stale-deployments",
        arguments={"force_drain": True, "max_kills": 5},
        source=cast("Any", source),
        actor="x",
    )
    context = cast("Any", SimpleNamespace(api=api, findings=findings))
    assert set(await force_drain.doomed_work(context, request, cast("Any", survey))) == doomed
