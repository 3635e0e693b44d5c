"""Does the endpoint answer? A dry-run discovery is the only test for it (restate-facts)."""

from __future__ import annotations

from collections.abc import Collection

from exporter.model.errors import CallFailedError, RefusedError
from exporter.remedies.batch import No, UnconfirmedError
from exporter.remedies.registered import shown
from exporter.remedies.remedy import RemedyContext
from exporter.restate_api import DiscoveryFailedError, Exact


class Alive:
    """Asks each deployment once; made anew for a preflight and for an act."""

    def __init__(self, context: RemedyContext, deployment: str) -> None:
        self._context = context
        self._wanted = deployment
        """``keep``, ``latest`` or an id: where the invocations are to go on."""
        self._known: dict[str, No | None] = {}

    async def refuse(self, one: Exact) -> No | None:
        """Why the invocation would not get anywhere; None when its endpoint answers."""
        id_ = await self._deployment_of(one)
        if id_ is None:
            return No("service-not-registered", f"{one.item.service} is not registered")
        if id_ not in self._known:
            self._known[id_] = await endpoint_of(self._context, id_)
        return self._known[id_]

    async def refuse_any(self, ids: Collection[str]) -> None:
        """RefusedError when one of the endpoints does not answer any more."""
        try:
            for one in (await self._context.api.lookups.by_id(ids)).values():
                no = await self.refuse(one)
                if no is not None:
                    raise RefusedError(no.reason, no.detail)
        except CallFailedError as error:
            raise UnconfirmedError(f"the endpoints could not be asked again: {error}") from error

    async def _deployment_of(self, one: Exact) -> str | None:
        if self._wanted not in {"keep", "latest"}:
            return self._wanted
        if self._wanted == "keep" and one.item.deployment_id is not None:
            return one.item.deployment_id
        details = await self._context.api.admin.get_service(one.item.service)
        return details.service.deployment_id if details is not None else None


async def endpoint_of(context: RemedyContext, deployment_id: str) -> No | None:
    """Why a deployment's endpoint cannot be relied on; None when it answers a discovery."""
    whole = await context.api.admin.deployment(deployment_id)
    if whole is None:
        return No("zombie", f"deployment {deployment_id} is not registered any more")
    url = shown(whole.deployment.url)
    try:
        await context.api.admin.dry_run(whole.registration)
    except DiscoveryFailedError as error:
        if error.unreachable:
            return No("endpoint-dead", f"{url} does not answer a discovery: {error}")
        return No("endpoint-unknown", f"whether {url} answers could not be found out: {error}")
    return None
