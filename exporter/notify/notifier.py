"""Every notifier that is configured, by name; the one place messages are handed to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

from exporter.model.message import Delivery, Message, Receipt
from exporter.notify.bodies import Format
from exporter.notify.channel import Channel, OnReceipt, Patience
from exporter.notify.webhook import Secret, Webhook
from exporter.transport import Transport


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a notifier leads, and what it is sent."""

    webhook: Secret
    format: Format = "slack"


class Notifier:
    """Sends messages. Used from one event loop; nothing runs while nothing waits."""

    def __init__(
        self,
        *,
        transport: Transport,
        on_receipt: OnReceipt = lambda _receipt: None,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._transport = transport
        self._on_receipt = on_receipt
        self._patience = patience or Patience()
        self._clock = clock
        self._sleep = sleep
        self._channels: dict[str, Channel] = {}
        self._gone: set[asyncio.Task[None]] = set()

    def configure(self, destinations: Mapping[str, Destination]) -> None:
        """Take over what is configured now. What waits for a notifier that stays waits on."""
        for name in self._channels.keys() - destinations.keys():
            closing = self._channels.pop(name).close(self._patience.timeout.total_seconds())
            task = asyncio.ensure_future(closing)
            self._gone.add(task)
            task.add_done_callback(self._gone.discard)
        for name, destination in destinations.items():
            webhook = Webhook(destination.webhook, self._transport)
            if name in self._channels:
                self._channels[name].lead_to(webhook, destination.format)
            else:
                self._channels[name] = Channel(
                    name,
                    webhook=webhook,
                    format_=destination.format,
                    on_receipt=self._on_receipt,
                    patience=self._patience,
                    clock=self._clock,
                    sleep=self._sleep,
                )

    def send(self, names: Collection[str] | None, message: Message) -> None:
        """Queue a message for these notifiers (None: for all), and come back at once."""
        self._put(names, message)

    async def deliver(self, names: Collection[str] | None, message: Message) -> tuple[Receipt, ...]:
        """Queue a message and wait, perhaps for long, for what becomes of it at each notifier."""
        return tuple(await asyncio.gather(*self._put(names, message)))

    def hurry(self) -> None:
        """The daemon is about to stop: each message has one more try."""
        for channel in self._channels.values():
            channel.hurry()

    async def close(self, seconds: float) -> None:
        """Try for so long to deliver what waits, and drop the rest."""
        closing = [channel.close(seconds) for channel in self._channels.values()]
        await asyncio.gather(*closing, *self._gone)

    def _put(
        self, names: Collection[str] | None, message: Message
    ) -> list[asyncio.Future[Receipt]]:
        wanted = self._channels if names is None else dict.fromkeys(names)
        return [
            self._channels[name].put(message) if name in self._channels else self._nobody(name)
            for name in wanted
        ]

    def _nobody(self, name: str) -> asyncio.Future[Receipt]:
        """A notifier that a reload took away under a policy's operation."""
        receipt = Receipt(name, Delivery.DROPPED, "no notifier has this name")
        self._on_receipt(receipt)
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        future.set_result(receipt)
        return future
