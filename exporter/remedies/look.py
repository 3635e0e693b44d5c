"""Looking at a worker and its registration together, before it is registered again.

What is seen and what of it a plan rests on; what it means is ``harm``'s to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exporter.model.drift import Drift, compare, fingerprint
from exporter.model.errors import RefusedError
from exporter.model.redact import REDACTED
from exporter.model.views import Deployment, ServiceShape
from exporter.remedies.registered import Registered, read_registered, shown
from exporter.remedies.remedy import RemedyContext
from exporter.restate_api import Registration


@dataclass(frozen=True, slots=True)
class Look:
    """The worker and its registration, read together. ``known`` is None for a new URL."""

    url: str
    registered: Registered
    known: Deployment | None
    registration: Registration
    offered: tuple[ServiceShape, ...]
    before: tuple[ServiceShape, ...]
    """What is registered under this URL, and elsewhere under the names that it offers."""
    strangers: tuple[str, ...]
    """Ids of deployments that are not ours and that registering would change or take from."""

    @property
    def drift(self) -> Drift:
        """How what is offered differs from what is registered."""
        return compare(self.offered, self.before)

    @property
    def names(self) -> tuple[str, ...]:
        """Every service that registering concerns."""
        return tuple(sorted({s.name for s in (*self.offered, *self.before)}))

    @property
    def taken(self) -> Mapping[str, str]:
        """Services that another deployment serves now and that registering pulls here: its id."""
        mine = self.known.id if self.known else None
        return {n: i for n, i in self._served_by.items() if i != mine and self._offers(n)}

    @property
    def rests_on(self) -> dict[str, Any]:
        """What must still be so right before the write."""
        return {
            "offered": fingerprint(self.offered),
            "registered": fingerprint(self.before),
            "deploymentId": self.known.id if self.known else None,
            "latest": self.registered.latest(self.known) if self.known else None,
            "servedBy": self._served_by,
            "foreign": list(self.strangers),
        }

    @property
    def _served_by(self) -> dict[str, str]:
        services = self.registered.services.items
        return {s.name: s.deployment_id for s in services if s.name in self.names}

    def _offers(self, name: str) -> bool:
        return any(s.name == name for s in self.offered)


async def look_at(context: RemedyContext, url: str) -> Look:
    """Read what is registered, and discover the worker without registering it.

    CallFailedError when either cannot be read (DiscoveryFailedError: the worker).
    """
    registered = await read_registered(context)
    known = registered.at(url)
    registration = Registration.of(url)
    mine: tuple[ServiceShape, ...] = ()
    if known is not None:
        whole = await context.api.admin.deployment(known.id)
        if whole is None:
            raise RefusedError("changed", f"deployment {known.id} was removed just now")
        registration, mine = whole.registration, whole.shapes
    elif REDACTED in url:
        msg = f"{shown(url)} is registered nowhere: write it with its user info"
        raise RefusedError("placeholder-url", msg)
    offered = (await context.api.admin.dry_run(registration)).shapes
    return Look(
        url=url,
        registered=registered,
        known=known,
        registration=registration,
        offered=offered,
        before=(*mine, *_elsewhere(registered, offered, mine)),
        strangers=_strangers(context, registered, known, offered),
    )


def _elsewhere(
    registered: Registered, offered: tuple[ServiceShape, ...], mine: tuple[ServiceShape, ...]
) -> list[ServiceShape]:
    """What is registered under the names that are offered, but not under this URL."""
    names = {s.name for s in offered} - {s.name for s in mine}
    return [s.shape for s in registered.services.items if s.name in names]


def _strangers(
    context: RemedyContext,
    registered: Registered,
    known: Deployment | None,
    offered: tuple[ServiceShape, ...],
) -> tuple[str, ...]:
    """Who is not ours: the deployment itself, and those whose services would come here."""
    names = frozenset(s.name for s in offered)
    found = {known.id} if known and registered.foreign(known, context.target) else set()
    for service in registered.services.items:
        holder = registered.get(service.deployment_id)
        if service.name not in names or holder is None or holder == known:
            continue
        # A deployment that serves nothing but what this worker offers is the one it replaces.
        if registered.foreign(holder, context.target, ours=names):
            found.add(holder.id)
    return tuple(sorted(found))
