"""Who hears of an operation: the metrics always, and whom its policy names."""

from __future__ import annotations

from collections.abc import Callable

from exporter.app.engine import Engine
from exporter.metrics.instruments import Instruments
from exporter.model.message import Message
from exporter.model.operation import Operation, Outcome, Request
from exporter.notify.about import about_operation, about_proposal


class Bulletin:
    """Tells of operations that ended or wait for a person."""

    def __init__(self, engine: Callable[[], Engine], instruments: Instruments) -> None:
        self._engine = engine
        self._instruments = instruments

    def operation_closed(self, operation: Operation, request: Request | None) -> None:
        """Count an operation that ended, and how long the heal took; tell whom its policy names."""
        now = self._engine().now()
        self._instruments.operation_finished(operation, now=now)
        healed = operation.outcome in {Outcome.VERIFIED, Outcome.PARTIAL} and not operation.error
        if healed and operation.policy and request and request.true_since and operation.finished_at:
            seconds = (operation.finished_at - request.true_since).total_seconds()
            self._instruments.heal_seconds(operation.policy.name, seconds)
        self._tell(operation, about_operation(operation))

    def operation_proposed(self, operation: Operation) -> None:
        """Tell whom its policy names that a plan waits for a person."""
        self._tell(operation, about_proposal(operation))

    def _tell(self, operation: Operation, message: Message | None) -> None:
        name = operation.policy.name if operation.policy else None
        policy = next((p for p in self._engine().policies if p.name == name), None)
        if policy is not None and message is not None:
            self._engine().notifier.send(policy.notify, message)
