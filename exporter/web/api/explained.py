"""The route that explains: why each policy does what it does now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query

from exporter.explain import Explanation, explanation_body
from exporter.model.redact import redact_text
from exporter.web.api.filters import ExplainFilters
from exporter.web.api.listing import known, paged
from exporter.web.api.present import subject_key
from exporter.web.api.reading import reading
from exporter.web.status import WebStatus
from exporter.wire.body import timestamp
from exporter.wire.decisions import concerns
from exporter.wire.explain import ExplainAnswer
from exporter.wire.operator import Code


def explain_routes(
    status: Callable[[], WebStatus], explain: Callable[[str], tuple[Explanation, ...]]
) -> APIRouter:
    """It decides anew on the newest readings, and leaves no trace."""
    router = APIRouter(prefix="/api/v1", tags=["read"])

    @reading(router, "/explain", Code.BAD_REQUEST)
    async def explanations(asked: Annotated[ExplainFilters, Query()]) -> ExplainAnswer:
        """What each policy's condition sees, what every gate says, and when it could act."""
        now = status()
        names = [row.target.name for row in now.targets]
        known("target", asked.target, names)
        known("policy", asked.policy, (policy.name for policy in now.policies))
        found: list[Explanation] = []
        for name in names if asked.target is None else [asked.target]:
            found += explain(name)
            await asyncio.sleep(0)  # a fleet takes a while, and rounds go first
        rows = [
            one
            for one in found
            if asked.policy in {None, one.decision.subject.policy}
            if concerns(one.decision, asked.item)
        ]
        if not rows and asked.item is not None:
            items = (one.decision.subject.item for one in found)
            known("item", asked.item, {redact_text(item) for item in items if item is not None})
        shown, cursor = paged(
            "explanations", rows, asked, lambda one: subject_key(one.decision.subject)
        )
        since = {(s.decision.subject, s.decision.standing): s.since for s in now.decisions}
        return ExplainAnswer(
            at=timestamp(now.now),
            # What differs from the last round's decision stands only since now, which is nowhere.
            explanations=tuple(
                explanation_body(e, since.get((e.decision.subject, e.decision.standing)))
                for e in shown
            ),
            next_cursor=cursor,
        )

    return router
