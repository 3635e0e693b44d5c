"""The catalogue of what a policy's condition may ask: the CEL variables and their sources.

Documentation, the editor schema and the type checker are all made from these tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from exporter.model.component import Component

_C = Component
_DEPLOYMENTS = frozenset({_C.DEPLOYMENTS})
_SERVICES = frozenset({_C.SERVICES})
_INVOCATIONS = frozenset({_C.INVOCATIONS})
_DRIFT = frozenset({_C.DRIFT})
_LATEST = frozenset({_C.DEPLOYMENTS, _C.SERVICES})
_WORK = frozenset({_C.DEPLOYMENTS, _C.INVOCATIONS})
_STATE = _WORK | _SERVICES
_GHOST = _STATE | _DRIFT


class ValueType(StrEnum):
    """A variable's CEL type."""

    STRING = "string"
    INT = "int"
    BOOL = "bool"
    DURATION = "duration"
    STRINGS = "list(string)"
    LABELS = "map(string, string)"


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable: bound only while every component it is made from is ok and fresh."""

    name: str
    type: ValueType
    components: frozenset[Component]
    doc: str


@dataclass(frozen=True, slots=True)
class ItemKind:
    """What ``for_each`` may run over. ``components`` must be known for the list to be known."""

    name: str
    components: frozenset[Component]
    doc: str
    fields: tuple[Variable, ...]


def _fields(*rows: tuple[str, ValueType, Iterable[Component], str]) -> tuple[Variable, ...]:
    return tuple(Variable(f"item.{n}", t, frozenset(c), d) for n, t, c, d in rows)


_S, _I, _B, _D, _L = (
    ValueType.STRING,
    ValueType.INT,
    ValueType.BOOL,
    ValueType.DURATION,
    ValueType.STRINGS,
)

_ALWAYS = (
    Variable("target.name", _S, frozenset(), "the target's name"),
    Variable("target.kind", _S, frozenset(), "restate or dalp"),
    Variable("target.labels", ValueType.LABELS, frozenset(), "the labels the configuration gives"),
    *(
        Variable(f"{c}.{field}", kind, frozenset(), doc)
        for c in Component
        for field, kind, doc in (
            ("status", _S, f"{c}: ok, degraded, unreachable, unknown or off"),
            ("reason", _S, f"{c}: why it is not ok; empty when it is"),
            ("age", _D, f"{c}: since its newest reading began; ten years when never read"),
        )
    ),
)

VARIABLES: tuple[Variable, ...] = (
    *_ALWAYS,
    Variable("admin.version", _S, frozenset({_C.ADMIN}), "the server's version"),
    Variable("services.registered", _L, _SERVICES, "the registered services"),
    Variable("services.missing", _L, _SERVICES, "expected services that are not registered"),
    Variable(
        "services.unexposed",
        _L,
        _SERVICES | {_C.INGRESS},
        "public registered services that the ingress does not list",
    ),
    Variable("workers.unregistered", _L, _DEPLOYMENTS, "worker URLs with no deployment"),
    Variable("workers.unreachable", _L, _DRIFT, "worker URLs whose discovery fails"),
    Variable("deployments.registered", _L, _DEPLOYMENTS, "every registered id"),
    Variable("deployments.active", _L, _LATEST, "ids that are latest for at least one service"),
    Variable("deployments.draining", _L, _STATE, "ids not latest, with work that is not completed"),
    Variable("deployments.drained", _L, _STATE, "ids not latest, with no work left"),
    Variable("deployments.ghost", _L, _GHOST, "draining ids whose endpoint is dead"),
    Variable("deployments.foreign", _L, _DEPLOYMENTS, "ids that serve none of our workers"),
    Variable("deployments.protected", _L, _DEPLOYMENTS, "ids whose metadata protects them"),
    Variable("drift.added", _L, _DRIFT, "offered, not registered: Svc or Svc/handler"),
    Variable("drift.dropped", _L, _DRIFT, "registered, no longer offered: Svc or Svc/handler"),
    Variable("drift.changed", _L, _DRIFT, "handlers whose kind differs: Svc/handler"),
    Variable("drift.type_changed", _L, _DRIFT, "services whose type differs: Svc"),
    Variable("drift.stable", _B, _DRIFT, "every worker answered the same on two readings in a row"),
    *(
        Variable(f"invocations.{s}", _I, _INVOCATIONS, f"invocations that are {s}")
        for s in ("inboxed", "scheduled", "invoked", "suspended", "paused")
    ),
    Variable("invocations.retrying", _I, _INVOCATIONS, "invocations that failed at least once"),
    Variable("invocations.zombies", _I, _INVOCATIONS, "invocations pinned to a deleted deployment"),
    Variable("invocations.journal_mismatch", _I, _INVOCATIONS, "invocations failing with RT0016"),
    Variable("invocations.recent_failures", _I, _INVOCATIONS, "failures within the last day"),
    Variable("invocations.oldest_active", _D, _INVOCATIONS, "age of the oldest unfinished one"),
    Variable("invocations.oldest_paused", _D, _INVOCATIONS, "how long the longest has been paused"),
    Variable("invocations.complete", _B, _INVOCATIONS, "the lists of invocations were not cut"),
    Variable("workflows.failed", _I, _INVOCATIONS, "workflow keys whose run failed"),
    Variable("workflows.complete", _B, _INVOCATIONS, "the list of failed keys was not cut"),
    Variable(
        "heartbeat.late",
        _B,
        frozenset({_C.HEARTBEAT}),
        "the newest heartbeat takes, or took, longer than it should",
    ),
    Variable(
        "heartbeat.last_success_age",
        _D,
        frozenset({_C.HEARTBEAT}),
        "since a heartbeat last succeeded; unknown until one has",
    ),
    Variable(
        "node.partitions_blocked",
        _I,
        frozenset({_C.NODE}),
        "partitions that the node says it cannot run",
    ),
)

_WORKERS = _fields(
    ("url", _S, (), "the worker's URL"),
    ("reachable", _S, (), "its discovery: yes, no or unknown"),
    ("registered", _B, _DEPLOYMENTS, "a deployment has this URL"),
    ("latest", _B, _LATEST, "that deployment is the latest for all its services"),
    ("stable", _B, _DRIFT, "it answered the same on two readings in a row"),
    ("missing", _L, _SERVICES, "services expected of it that are not registered"),
    ("added", _L, _DRIFT, "offered, not registered"),
    ("dropped", _L, _DRIFT, "registered, no longer offered"),
    ("changed", _L, _DRIFT, "handlers whose kind differs"),
    ("type_changed", _L, _DRIFT, "services whose type differs"),
)
_DEPLOYMENT_ITEMS = _fields(
    ("id", _S, (), "the deployment's id"),
    ("url", _S, (), "its URL or ARN"),
    ("kind", _S, (), "http or lambda"),
    ("state", _S, _STATE, "active, draining or drained"),
    ("owner", _S, (), "ours, foreign or protected"),
    ("reachable", _S, (), "its discovery: yes, no or unknown"),
    ("pinned", _I, _WORK, "unfinished invocations pinned to it"),
    ("unpinned", _I, _WORK, "unfinished, unpinned invocations of services only it serves"),
    ("created_age", _D, (), "since it was registered"),
    ("state_age", _D, _STATE, "how long it has been seen in this state"),
    ("services", _L, (), "the services it lists"),
)
_FAILED_RUNS = _fields(
    ("service", _S, (), "the workflow"),
    ("key", _S, (), "the workflow key"),
    ("handler", _S, (), "the run handler"),
    ("invocation_id", _S, (), "the failed run"),
    ("cause", _S, (), "error, killed or cancelled"),
    ("error", _S, (), "its failure message"),
    ("age", _D, (), "since it failed"),
    ("active_siblings", _I, (), "unfinished invocations of the same key"),
    ("recoveries", _I, (), "how often restate-medic recovered this key"),
)
_INVOCATION_ITEMS = _fields(
    ("id", _S, (), "the invocation"),
    ("service", _S, (), "its service"),
    ("service_type", _S, (), "service, object or workflow"),
    ("key", _S, (), "its key; empty for a plain service"),
    ("handler", _S, (), "its handler"),
    ("deployment", _S, (), "the deployment it is pinned to; empty when not pinned"),
    ("paused_by", _S, (), "retries, manual or unknown"),
    ("error_code", _S, (), "Restate's code of its last failure, such as RT0016"),
    ("error", _S, (), "its last failure, or the one it completed with"),
    ("age", _D, (), "since it last changed; of what has completed, since then"),
    ("retries", _I, (), "attempts so far"),
    ("resumes", _I, (), "how often restate-medic resumed it"),
    ("restarts", _I, (), "how often restate-medic ran it again as a new one"),
    ("result", _S, (), "success, error, killed or cancelled; empty until it has completed"),
    ("blocks_key", _B, (), "it holds a key that others wait for"),
)

ITEM_KINDS: Mapping[str, ItemKind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            ItemKind("workers", frozenset(), "each worker of the target", _WORKERS),
            ItemKind("deployments", _DEPLOYMENTS, "each registered deployment", _DEPLOYMENT_ITEMS),
            ItemKind("workflows.failed", _INVOCATIONS, "each failed workflow key", _FAILED_RUNS),
            *(
                ItemKind(f"invocations.{s}", _INVOCATIONS, doc, _INVOCATION_ITEMS)
                for s, doc in (
                    ("paused", "each paused invocation"),
                    ("retrying", "each invocation that failed at least once"),
                    ("zombies", "each invocation pinned to a deleted deployment"),
                    ("completed", "each completed invocation of the services that actions name"),
                )
            ),
        )
    }
)
