"""What people order, written down: each method is one transaction, as those of ``store``."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from exporter.ledger import keys, orders, proposals
from exporter.ledger.journal import writing
from exporter.ledger.reads import Reads
from exporter.model.identity import Identity
from exporter.model.keys import ApiKey, Role
from exporter.model.operation import Operation
from exporter.model.orders import Pause, PauseScope, Reset


class OrderStore(Reads):
    """Pauses, plans that are approved, breakers that are reset, identities, keys."""

    def pauses(self) -> tuple[Pause, ...]:
        """Every pause that nobody lifted, oldest first; some may have run out."""
        with self._engine.connect() as connection:
            return orders.not_lifted(connection)

    def pause(
        self,
        scope: PauseScope,
        name: str,
        *,
        owner: str,
        reason: str,
        now: datetime,
        expires_at: datetime | None = None,
    ) -> Pause:
        """Hold policies from now on: everywhere, on a target, or one of them."""
        with writing(self._engine) as journal:
            return orders.pause(
                journal, scope, name, owner=owner, reason=reason, expires_at=expires_at, now=now
            )

    def unpause(self, ids: Iterable[int], *, actor: str, now: datetime) -> tuple[Pause, ...]:
        """Lift pauses; returns those that were still there."""
        with writing(self._engine) as journal:
            return orders.unpause(journal, ids, actor=actor, now=now)

    def approve(self, operation_id: str, *, actor: str, reason: str, now: datetime) -> Operation:
        """Let a plan that waits be carried out. RefusedError when it waits no more."""
        with writing(self._engine) as journal:
            return proposals.approve(journal, operation_id, actor=actor, reason=reason, now=now)

    def reject(self, operation_id: str, *, actor: str, reason: str, now: datetime) -> Operation:
        """Close a plan that waits. RefusedError when it waits no more."""
        with writing(self._engine) as journal:
            return proposals.reject(journal, operation_id, actor=actor, reason=reason, now=now)

    def reset_breaker(
        self,
        *,
        actor: str,
        reason: str,
        now: datetime,
        target: str = "",
        remedy: str = "",
        policy: str = "",
    ) -> Reset:
        """Close the breaker of a remedy on a target, or of a policy everywhere."""
        with writing(self._engine) as journal:
            return orders.reset(
                journal,
                target=target,
                remedy=remedy,
                policy=policy,
                actor=actor,
                reason=reason,
                now=now,
            )

    def note_identity(
        self,
        target: str,
        identity: Identity,
        *,
        now: datetime,
        accepted_by: str | None = None,
        reason: str = "",
    ) -> None:
        """Remember what a target is known by; ``accepted_by`` when a person says it is right."""
        with writing(self._engine) as journal:
            orders.identity(
                journal, target, identity, accepted_by=accepted_by, reason=reason, now=now
            )

    def api_keys(self) -> tuple[ApiKey, ...]:
        """Every key there ever was, oldest first."""
        with self._engine.connect() as connection:
            return keys.known(connection)

    def add_key(self, name: str, role: Role, *, digest: str, actor: str, now: datetime) -> ApiKey:
        """Let whoever holds the key of this hash in. NameTakenError while the name is in use."""
        with writing(self._engine) as journal:
            return keys.add(journal, name, role, digest=digest, actor=actor, now=now)

    def revoke_key(self, name: str, *, actor: str, now: datetime) -> ApiKey | None:
        """End the valid key of that name, and return it; None when there is none."""
        with writing(self._engine) as journal:
            return keys.revoke(journal, name, actor=actor, now=now)
