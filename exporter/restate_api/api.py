"""One Restate environment, as the rest of the program holds it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from exporter.restate_api.admin import DISCOVERY_TIMEOUT, Admin
from exporter.restate_api.beats import Beats
from exporter.restate_api.ingress import Ingress
from exporter.restate_api.invocations import Invocations
from exporter.restate_api.lifecycle import Lifecycle
from exporter.restate_api.lookups import Lookups
from exporter.restate_api.node import Node
from exporter.restate_api.query import QUERY_TIMEOUT, Query
from exporter.transport import TokenProvider, Transport

CALL_TIMEOUT = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class RestateApi:
    """Everything one environment can be asked."""

    ingress: Ingress
    admin: Admin
    query: Query
    invocations: Invocations
    lookups: Lookups
    lifecycle: Lifecycle
    beats: Beats
    node: Node | None
    """None where the node's URL is not given."""


def connect(  # noqa: PLR0913 - three addresses, two tokens, three limits
    transport: Transport,
    *,
    ingress_url: str,
    admin_url: str,
    node_url: str | None = None,
    ingress_token: TokenProvider | None = None,
    admin_token: TokenProvider | None = None,
    timeout: timedelta = CALL_TIMEOUT,
    query_timeout: timedelta = QUERY_TIMEOUT,
    discovery_timeout: timedelta = DISCOVERY_TIMEOUT,
) -> RestateApi:
    """Build the API of one environment; nothing is called yet.

    The two tokens are different credentials (restate-facts, Health). Raises ConfigurationError for
    what is not a base URL.
    The three limits are those of one whole call.
    """
    ingress = transport.client(ingress_url, token=ingress_token, timeout=timeout)
    admin = transport.client(admin_url, token=admin_token, timeout=timeout)
    query = Query(admin, timeout=query_timeout)
    invocations = Invocations(query)
    return RestateApi(
        ingress=Ingress(ingress),
        admin=Admin(admin, discovery_timeout=discovery_timeout),
        query=query,
        invocations=invocations,
        lookups=Lookups(query, invocations),
        lifecycle=Lifecycle(admin),
        beats=Beats(ingress, query),
        node=None if node_url is None else Node(transport.client(node_url, timeout=timeout)),
    )
