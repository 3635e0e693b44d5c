"""What key holders order over HTTP: whose call it is, and that each is written down.

What is ordered, and where it is kept, is the order book's and people's. A call that succeeded is a
row of the ledger together with what it ordered; one that did not, by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from fastapi import Request as HttpRequest
from pydantic import BaseModel

from exporter.model.operation import Request
from exporter.order_book import OrderBook
from exporter.people import People
from exporter.web.api.caller import kept, request_of
from exporter.wire.operator import LONGEST_REASON

if TYPE_CHECKING:
    from exporter.explain import Explanation
    from exporter.ledger.gateway import Ledger


class Clerk:
    """Everything that the read and control routes are served from."""

    def __init__(
        self,
        *,
        people: Callable[[], People],
        ledger: Callable[[], Ledger],
        now: Callable[[], datetime],
        explain: Callable[[str], tuple[Explanation, ...]],
    ) -> None:
        """``explain`` tells of a configured target why its policies do what they do now."""
        self.people = people
        self.explain = explain
        self.ledger = ledger
        self.now = now

    def book(self) -> OrderBook:
        """Where orders are written down."""
        return OrderBook(ledger=self.ledger(), now=self.now)

    def asked(
        self,
        http: HttpRequest,
        call: str,
        *,
        target: str | None = None,
        body: BaseModel | None = None,
        about: Mapping[str, str] | None = None,
    ) -> Request:
        """A call that can be acted on. ``about``: what its path means, where it is not clear."""
        sent = body.model_dump(by_alias=True, exclude_unset=True) if body is not None else {}
        reason = sent.pop("reason", None)
        arguments = {**(about or http.path_params), **http.query_params, **sent}
        return request_of(
            http, call, target=target, arguments=arguments, reason=reason, now=self.now()
        )

    async def refused(
        self, http: HttpRequest, call: str, body: object, reason: str, problem: str
    ) -> None:
        """Write down a call that nobody acted on."""
        sent = kept(body)
        given = sent.pop("reason", None)
        words = given[:LONGEST_REASON] if isinstance(given, str) else None
        arguments = {**http.path_params, **http.query_params, **sent}
        target = http.path_params.get("name")
        request = request_of(
            http, call, target=target, arguments=arguments, reason=words, now=self.now()
        )
        await self.people().refused(request, reason, problem)
