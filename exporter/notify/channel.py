"""The way to one notifier: a bounded queue, and a task that empties it, one message at a time.

A notifier that hangs delays nobody but itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from exporter.model.message import Delivery, Message, Receipt
from exporter.notify.bodies import BODIES, Format
from exporter.notify.webhook import Webhook

_log = structlog.get_logger(__name__)

OnReceipt = Callable[[Receipt], None]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long, how often and for how many messages a notifier is tried."""

    queue: int = 100
    """Messages that wait at most; the oldest makes room."""
    timeout: timedelta = timedelta(seconds=10)
    """For one try."""
    first_wait: timedelta = timedelta(seconds=1)
    """After the first try; each wait is twice the one before, or what the other side asks for."""
    longest_wait: timedelta = timedelta(minutes=5)
    tries: int = 12
    age: timedelta = timedelta(minutes=30)
    """A message that is older is not worth delivering."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    message: Message
    since: float
    receipt: asyncio.Future[Receipt]


class Channel:
    """Delivers in order. Used from one event loop."""

    def __init__(
        self,
        name: str,
        *,
        webhook: Webhook,
        format_: Format,
        on_receipt: OnReceipt,
        patience: Patience,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._name = name
        self._on_receipt = on_receipt
        self._patience = patience
        self._clock = clock
        self._sleep = sleep
        self._queue: deque[_Waiting] = deque()
        self._task: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self._closed = False
        self.lead_to(webhook, format_)

    def lead_to(self, webhook: Webhook, format_: Format) -> None:
        """Deliver there from the next try on; what waits stays."""
        self._webhook = webhook
        self._body: Callable[[Message], dict[str, Any]] = BODIES[format_]

    def put(self, message: Message) -> asyncio.Future[Receipt]:
        """Take a message in, at once; the future tells what becomes of it, and never fails."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(message, self._clock(), loop.create_future())
        if self._closed:
            self._settle(waiting, Delivery.DROPPED, "the daemon stopped")
            return waiting.receipt
        while len(self._queue) >= self._patience.queue:
            self._settle(self._queue.popleft(), Delivery.DROPPED, "too many messages are waiting")
        self._queue.append(waiting)
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._empty())
        return waiting.receipt

    def hurry(self) -> None:
        """From now on each message has one more try, and nothing waits for the next."""
        self._hurry.set()

    async def close(self, seconds: float) -> None:
        """Hurry for so long, then drop the rest."""
        self.hurry()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=seconds)
            self._closed = True
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._closed = True
        while self._queue:
            self._settle(self._queue.popleft(), Delivery.DROPPED, "the daemon stopped")

    async def _empty(self) -> None:
        while self._queue:
            waiting = self._queue.popleft()
            try:
                delivery, detail = await self._deliver(waiting)
            except asyncio.CancelledError:
                self._settle(waiting, Delivery.DROPPED, "the daemon stopped")
                raise
            except Exception as error:  # noqa: BLE001 - one message must not end all that follow
                # Not logged with its traceback, in which the URL may be.
                delivery, detail = Delivery.FAILED, f"internal error: {type(error).__name__}"
            self._settle(waiting, delivery, detail)

    async def _deliver(self, waiting: _Waiting) -> tuple[Delivery, str]:
        patience, wait, tries = self._patience, self._patience.first_wait, 0
        if self._left(waiting) < 0:
            return Delivery.FAILED, "it had waited too long for its turn"
        while True:
            hurried = self._hurry.is_set()
            found = await self._webhook.post(self._body(waiting.message), patience.timeout)
            tries += 1
            if found.delivered:
                return Delivery.DELIVERED, ""
            if not found.again:
                return Delivery.FAILED, found.detail
            pause = found.wait if found.wait == timedelta(0) else max(wait, found.wait or wait)
            if hurried:
                return Delivery.DROPPED, f"the daemon stopped; last: {found.detail}"
            if tries >= patience.tries or pause.total_seconds() > self._left(waiting):
                return Delivery.FAILED, f"given up after {tries} tries; last: {found.detail}"
            await self._pause(pause.total_seconds())
            wait = min(wait * 2, patience.longest_wait)

    def _left(self, waiting: _Waiting) -> float:
        return waiting.since + self._patience.age.total_seconds() - self._clock()

    async def _pause(self, seconds: float) -> None:
        """Wait, unless there is no time left for waiting."""
        sleeping = asyncio.ensure_future(self._sleep(seconds))
        hurrying = asyncio.ensure_future(self._hurry.wait())
        try:
            await asyncio.wait({sleeping, hurrying}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            hurrying.cancel()

    def _settle(self, waiting: _Waiting, delivery: Delivery, detail: str) -> None:
        receipt = Receipt(self._name, delivery, detail)
        log = _log.info if delivery is Delivery.DELIVERED else _log.warning
        log(f"notification.{delivery}", notifier=self._name, kind=waiting.message.kind, why=detail)
        self._on_receipt(receipt)
        if not waiting.receipt.done():
            waiting.receipt.set_result(receipt)
