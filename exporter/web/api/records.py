"""Routes that read the ledger: operations, and how a decision changed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query

from exporter.ledger.texts import item_key
from exporter.model.errors import NotFoundError
from exporter.order_book import OrderBook
from exporter.web.api.errors import unusable
from exporter.web.api.filters import ChangeFilters, OperationFilters, OperationId
from exporter.web.api.listing import after, known
from exporter.web.api.present import check_policy, check_target
from exporter.web.api.reading import reading
from exporter.web.status import StandingDecision, WebStatus
from exporter.wire.body import facts, timestamp
from exporter.wire.decisions import ChangeBody, DecisionHistory, concerns, decision_body
from exporter.wire.operation import (
    OperationDetail,
    OperationsAnswer,
    operation_body,
)
from exporter.wire.operator import Code
from exporter.wire.paging import Key, cursor_of

if TYPE_CHECKING:
    from exporter.ledger.decided import DecisionRecord
    from exporter.ledger.gateway import Ledger

_ID = re.compile(r"[a-z0-9_]{1,64}")
_DIGITS = 18
"""Of an entry's number: any such fits into what databases call a big integer."""
_NO_CURSOR = "is no cursor of this list: write the nextCursor of its last answer"
_ROWS = 100
"""Of the ledger's lists, which grow for years, where no other number is asked for."""


def operation_routes(
    status: Callable[[], WebStatus], ledger: Callable[[], Ledger], book: Callable[[], OrderBook]
) -> APIRouter:
    """What was done. LedgerUnavailableError is answered by the application."""
    router = APIRouter(prefix="/api/v1", tags=["read"])

    @reading(router, "/operations", Code.BAD_REQUEST)
    async def operations(asked: Annotated[OperationFilters, Query()]) -> OperationsAnswer:
        """Every attempt that the ledger knows, newest first."""
        key, limit = after("operations", asked), asked.limit or _ROWS
        filters = asked.model_dump(exclude={"limit", "cursor"}, exclude_none=True)
        before = None if key is None else _id_of(key)
        try:
            rows = await ledger().operations(**filters, limit=limit + 1, before=before)
        except NotFoundError as error:
            raise unusable("query.cursor", f"{error}: begin again without one") from error
        if not rows and before is None:
            await _check_names(asked, status(), ledger())
        more = len(rows) > limit
        shown = rows[:limit]
        return OperationsAnswer(
            operations=tuple(operation_body(row) for row in shown),
            next_cursor=cursor_of("operations", (shown[-1].id,)) if more else None,
        )

    @reading(router, "/operations/{id}", Code.NOT_FOUND, Code.BAD_REQUEST)
    async def operation(operation_id: OperationId) -> OperationDetail:
        """One operation, by its id or the beginning of it, with everything that happened to it."""
        return await book().detail(operation_id)

    return router


def history_routes(status: Callable[[], WebStatus], ledger: Callable[[], Ledger]) -> APIRouter:
    """How what a policy decides about a target has changed."""
    router = APIRouter(prefix="/api/v1", tags=["read"])

    @reading(
        router,
        "/decisions/{target}/{policy}",
        *(Code.NOT_FOUND, Code.TARGET_NOT_FOUND, Code.BAD_REQUEST),
    )
    async def decision(
        target: str, policy: str, asked: Annotated[ChangeFilters, Query()]
    ) -> DecisionHistory:
        """What a policy decides about a target now, and every change that was recorded."""
        now = status()
        check_target(now, target)
        check_policy(now, policy)
        present = [s for s in now.decisions if _is_about(s, target, policy, asked.item)]
        key, limit = after("changes", asked), asked.limit or _ROWS
        rows = await ledger().decisions(
            target=target,
            policy=policy,
            item=asked.item,
            since=asked.since,
            until=asked.until,
            limit=limit + 1,
            before=None if key is None else _number(key),
        )
        if not (present or rows) and asked.item is not None:
            raise NotFoundError("nothing was ever decided about this item", kind="item")
        more, shown = len(rows) > limit, rows[:limit]
        return DecisionHistory(
            decisions=tuple(decision_body(s.decision, s.since) for s in present),
            changes=tuple(_change(row) for row in shown),
            next_cursor=cursor_of("changes", (str(shown[-1].seq),)) if more else None,
        )

    return router


async def _check_names(asked: OperationFilters, now: WebStatus, ledger: Ledger) -> None:
    """A name that was never heard of is a mistake, and no news."""
    names = {
        "target": {row.target.name for row in now.targets},
        "policy": {policy.name for policy in now.policies},
    }
    for parameter, there in names.items():
        name = getattr(asked, parameter)
        if name is None or name in there:
            continue
        if not await ledger.operations(**{parameter: name}, limit=1):
            known(parameter, name, there)


def _number(key: Key) -> int:
    """The entry's number that a cursor of changes stands for."""
    text = "".join(key)
    if not text.isdecimal() or len(text) > _DIGITS:
        raise unusable("query.cursor", _NO_CURSOR)
    return int(text)


def _id_of(key: Key) -> str:
    """The operation's id that a cursor of operations stands for."""
    if not _ID.fullmatch(found := "".join(key)):
        raise unusable("query.cursor", _NO_CURSOR)
    return found


def _is_about(standing: StandingDecision, target: str, policy: str, item: str | None) -> bool:
    """Whether it is that decision, about the item if one is given."""
    subject = standing.decision.subject
    return (subject.target, subject.policy) == (target, policy) and concerns(
        standing.decision, item
    )


def _change(row: DecisionRecord) -> ChangeBody:
    return ChangeBody(
        seq=row.seq,
        at=timestamp(row.at),
        item=None if row.subject.item is None else item_key(row.subject.item),
        result=row.result,
        reason=row.reason or None,
        detail=row.detail,
        mode=row.mode,
        values=facts(row.values),
    )
