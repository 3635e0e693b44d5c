"""The only code that speaks to Restate.

``connect`` gives a ``RestateApi``: the ingress, the admin API, questions about
invocations and writes to them.
Everything that goes wrong is a ``CallFailedError``; a discovery that fails because of the endpoint
is its subclass ``DiscoveryFailedError``.
"""

from exporter.restate_api.admin import (
    Admin,
    Discovered,
    ServiceDetails,
    WholeRegistration,
)
from exporter.restate_api.api import RestateApi, connect
from exporter.restate_api.beats import (
    Beats,
    KnownBeat,
    NotRegisteredError,
    Sent,
    UnknownBeatError,
)
from exporter.restate_api.errors import DiscoveryFailedError
from exporter.restate_api.ingress import Ingress
from exporter.restate_api.invocations import (
    JOURNAL_MISMATCH,
    LIST_LIMIT,
    GroupedScan,
    Invocations,
    Listed,
    Retrying,
)
from exporter.restate_api.lifecycle import Lifecycle, Said, Written
from exporter.restate_api.lookups import Exact, Lookups, version_of
from exporter.restate_api.query import Query, literal, literals
from exporter.restate_api.registration import Registration

__all__ = [
    "JOURNAL_MISMATCH",
    "LIST_LIMIT",
    "Admin",
    "Beats",
    "Discovered",
    "DiscoveryFailedError",
    "Exact",
    "GroupedScan",
    "Ingress",
    "Invocations",
    "KnownBeat",
    "Lifecycle",
    "Listed",
    "Lookups",
    "NotRegisteredError",
    "Query",
    "Registration",
    "RestateApi",
    "Retrying",
    "Said",
    "Sent",
    "ServiceDetails",
    "UnknownBeatError",
    "WholeRegistration",
    "Written",
    "connect",
    "literal",
    "literals",
    "version_of",
]
