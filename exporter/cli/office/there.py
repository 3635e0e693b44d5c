"""Commands that a daemon carries out: over its read and control API, with a key."""

from __future__ import annotations

from datetime import timedelta
from typing import TypeVar

from exporter.cli.office.here import progress
from exporter.cli.office.office import Deed
from exporter.model.duration import format_duration
from exporter.model.errors import AmbiguousError
from exporter.model.operation import Outcome, Phase
from exporter.model.orders import BreakerName, PauseScope
from exporter.operator_api.control import LONG, ControlApi
from exporter.wire.acts import PlanBody, act_json
from exporter.wire.explain import ExplainAnswer
from exporter.wire.operation import OperationBody, OperationDetail, OperationsAnswer
from exporter.wire.orders import (
    BreakerBody,
    BreakersAnswer,
    PauseBody,
    PausesAnswer,
    ResetAnswer,
)
from exporter.wire.targets import TargetDetail, TargetsAnswer

_Body = TypeVar("_Body", PlanBody, OperationBody)
_MOST = 1000
"""Rows of one page; who has more of them to list asks for a target's."""


class There:
    """One daemon, for deeds and orders alike."""

    def __init__(self, api: ControlApi) -> None:
        self._api = api

    async def plan(self, deed: Deed) -> PlanBody:
        """What the daemon would do."""
        return await self._deed(PlanBody, deed, "plan", only_reads=True)

    async def carry_out(self, deed: Deed, plan_id: str | None) -> OperationBody:
        """Have it done, and wait until it is closed."""
        return await self._deed(OperationBody, deed, "operations", plan_id)

    async def under_way(self, deed: Deed) -> str:
        """How far it has come."""
        name = await self._target(deed)
        open_one = (await self._api.get(TargetDetail, "targets", name)).operation
        if open_one is None:
            return ""
        found = await self.operation(open_one)
        done = sum(entry.kind == "item" for entry in found.entries)
        return progress(found.phase, done, len(found.items))

    async def targets(self, name: str | None) -> tuple[TargetDetail, ...]:
        """One target, or all of them, as the daemon last saw them."""
        names = [name] if name else await self._names()
        return tuple([await self._api.get(TargetDetail, "targets", one) for one in names])

    async def explain(
        self, *, target: str | None, policy: str | None, item: str | None
    ) -> ExplainAnswer:
        """Why its policies do what they do, over as many pages as it takes."""
        asked = {"target": target, "policy": policy, "item": item, "limit": _MOST}
        found = await self._api.get(ExplainAnswer, "explain", **asked)
        rows, cursor = list(found.explanations), found.next_cursor
        while cursor is not None:
            page = await self._api.get(ExplainAnswer, "explain", **asked, cursor=cursor)
            rows += page.explanations
            cursor = page.next_cursor
        return found.model_copy(update={"explanations": tuple(rows), "next_cursor": None})

    async def pauses(self) -> tuple[PauseBody, ...]:
        """Those in force."""
        return (await self._api.get(PausesAnswer, "pauses", limit=_MOST)).pauses

    async def pause(
        self, scope: PauseScope, name: str, *, reason: str, lasts: timedelta | None
    ) -> PauseBody:
        """Let policies rest."""
        body = {"scope": scope, "name": name, "reason": reason}
        if lasts is not None:
            body["for"] = format_duration(lasts)
        return await self._api.post(PauseBody, "pauses", body=body)

    async def lift(self, pause_id: int) -> PauseBody:
        """Lift one pause."""
        return await self._api.delete(PauseBody, "pauses", str(pause_id))

    async def lift_all(self, scope: PauseScope, name: str) -> tuple[PauseBody, ...]:
        """Lift every pause of this scope and name."""
        return (
            await self._api.delete(PausesAnswer, "pauses", scope=scope, name=name or None)
        ).pauses

    async def waiting(self) -> tuple[OperationBody, ...]:
        """The plans that wait, oldest first."""
        found = await self._api.get(
            OperationsAnswer, "operations", phase=Phase.PROPOSED, limit=_MOST
        )
        return tuple(reversed([one for one in found.operations if one.outcome is None]))

    async def operation(self, name: str) -> OperationDetail:
        """One operation with everything that happened to it."""
        return await self._api.get(OperationDetail, "operations", name)

    async def operations(
        self,
        *,
        target: str | None,
        policy: str | None,
        remedy: str | None,
        outcome: Outcome | None,
        phase: Phase | None = None,
        limit: int,
    ) -> tuple[OperationBody, ...]:
        """Newest first, over as many pages as it takes."""
        rows: list[OperationBody] = []
        cursor: str | None = None
        while len(rows) < limit:
            page = await self._api.get(
                OperationsAnswer,
                "operations",
                target=target,
                policy=policy,
                remedy=remedy,
                outcome=outcome,
                phase=phase,
                limit=min(limit - len(rows), _MOST),
                cursor=cursor,
            )
            rows += page.operations
            cursor = page.next_cursor
            if cursor is None:
                break
        return tuple(rows)

    async def approve(self, name: str, *, reason: str) -> OperationBody:
        """Say yes."""
        return await self._answer(name, "approve", reason)

    async def reject(self, name: str, *, reason: str) -> OperationBody:
        """Say no."""
        return await self._answer(name, "reject", reason)

    async def breakers(self) -> tuple[BreakerBody, ...]:
        """Those that are open."""
        return (await self._api.get(BreakersAnswer, "breakers", limit=_MOST)).breakers

    async def reset(self, breaker: BreakerName, *, reason: str) -> bool:
        """Close a breaker."""
        body = {"reason": reason} if reason else {}
        done = await self._api.post(ResetAnswer, "breakers", str(breaker), "reset", body=body)
        return done.reset

    async def _answer(self, name: str, word: str, reason: str) -> OperationBody:
        body = {"reason": reason} if reason else {}
        return await self._api.post(OperationBody, "operations", name, word, body=body)

    async def _deed(
        self,
        kind: type[_Body],
        deed: Deed,
        route: str,
        plan_id: str | None = None,
        *,
        only_reads: bool = False,
    ) -> _Body:
        body = act_json(
            deed.remedy,
            deed.arguments,
            allow=sorted(deed.allow),
            reason=deed.reason,
            plan=plan_id,
        )
        name = await self._target(deed)
        return await self._api.post(
            kind, "targets", name, route, body=body, timeout=LONG, only_reads=only_reads
        )

    async def _target(self, deed: Deed) -> str:
        if deed.target is not None:
            return deed.target
        names = await self._names()
        if len(names) == 1:
            return names[0]
        shown = ", ".join(names[:20])
        raise AmbiguousError(
            f"{self._api.base_url} has {len(names)} targets: write --target and one of {shown}",
            matches=tuple(names),
        )

    async def _names(self) -> list[str]:
        found = await self._api.get(TargetsAnswer, "targets", limit=_MOST)
        return [target.name for target in found.targets]
