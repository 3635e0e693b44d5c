"""Restate's ingress, as far as a doctor needs it."""

from __future__ import annotations

from exporter.model.views import IngressView
from exporter.restate_api.bodies import IngressHealth, parse
from exporter.transport import HttpClient


class Ingress:
    """Speaks to ``{ingress_url}``; its token is the ingress API key, never the admin's."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    async def health(self) -> IngressView:
        """The names of the services the ingress would route to, its own view of what is registered.

        Raises CallFailedError when there is no usable answer.
        """
        answer = await self._http.request("GET", "/restate/health")
        return IngressView(frozenset(parse(IngressHealth, answer).services))
