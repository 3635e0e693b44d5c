"""Alertmanager's webhook: what an alert is about is read at once, not at the next interval.

It changes nothing but when a target is read, and it comes as often as alerts do: what policies then
decide is recorded, the call itself is only logged.
"""

from __future__ import annotations

from http import HTTPStatus

import structlog
from fastapi import APIRouter, Security

from exporter.model.errors import NotFoundError
from exporter.web.api.body import WEBHOOK
from exporter.web.api.clerk import Clerk
from exporter.web.api.errors import documented
from exporter.web.entry.security import bearer_header, key_header
from exporter.wire.alertmanager import TARGET_LABEL, Notification, WokenAnswer
from exporter.wire.operator import Code

_log = structlog.get_logger(__name__)


def webhook_routes(clerk: Clerk) -> APIRouter:
    """The one route. Its key may come as a bearer token (``gate``)."""
    router = APIRouter(
        tags=["control"], dependencies=[Security(key_header), Security(bearer_header)]
    )

    @router.post(
        WEBHOOK,
        status_code=HTTPStatus.ACCEPTED,
        responses=documented(
            *(Code.UNAUTHORIZED, Code.FORBIDDEN, Code.PERMISSION_REQUIRED),
            *(Code.PAYLOAD_TOO_LARGE, Code.BAD_REQUEST, Code.TOO_MANY_REQUESTS),
            *(Code.INTERNAL, Code.LEDGER_UNAVAILABLE),
        ),
    )
    async def alertmanager(body: Notification) -> WokenAnswer:
        """Read now what firing and resolved alerts name with their label `target`."""
        named = [alert.labels.get(TARGET_LABEL) for alert in body.alerts]
        woken: list[str] = []
        unknown: set[str] = set()
        for name in dict.fromkeys(filter(None, named)):
            try:
                clerk.people().hasten(name)
            except NotFoundError:
                unknown.add(name)
            else:
                woken.append(name)
        answer = WokenAnswer(
            woken=tuple(woken),
            unknown=sum(name in unknown for name in named),
            unlabelled=sum(not name for name in named),
        )
        _log.info("alertmanager.received", **answer.model_dump())
        return answer

    return router
