"""The only code that speaks to Restate.

``connect`` gives a ``RestateApi``: the ingress, the admin API and questions about invocations.
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
from exporter.restate_api.errors import DiscoveryFailedError
from exporter.restate_api.ingress import Ingress
from exporter.restate_api.invocations import (
    JOURNAL_MISMATCH,
    GroupedScan,
    Invocations,
    Listed,
    Retrying,
)
from exporter.restate_api.query import Query, literal, literals
from exporter.restate_api.registration import Registration

__all__ = [
    "JOURNAL_MISMATCH",
    "Admin",
    "Discovered",
    "DiscoveryFailedError",
    "GroupedScan",
    "Ingress",
    "Invocations",
    "Listed",
    "Query",
    "Registration",
    "RestateApi",
    "Retrying",
    "ServiceDetails",
    "WholeRegistration",
    "connect",
    "literal",
    "literals",
]
