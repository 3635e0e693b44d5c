"""What was seen while daemons were killed: writes at the server's door, kills, faults, the ledger.

Only facts; what must be true of them is in ``audit``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlsplit

from exporter.ledger.chain import Entry, Head
from exporter.model.operation import ItemOutcome, Operation

Item = tuple[str, str]
"""What a write was about: ``("deployment", id)``, ``("worker", url)`` or ``("invocation", id)``."""
Phase = Literal["idle", "preflight", "reserved", "acting", "acted", "verifying"]
PHASES: tuple[Phase, ...] = ("idle", "preflight", "reserved", "acting", "acted", "verifying")


@dataclass
class Write:
    """One request that may change the server, as it arrived there."""

    at: datetime
    method: str
    path: str
    body: Any
    seen: int
    """The newest entry that was committed to the ledger when it arrived."""
    forwarded: datetime | None = None
    status: int | None = None
    """The server's answer, whether or not the daemon lived to get it."""

    @property
    def done(self) -> bool:
        """Whether the server did as asked."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def parts(self) -> list[str]:
        return urlsplit(self.path).path.strip("/").split("/")

    @property
    def step(self) -> str:
        """How the ledger's entry that announces this write begins."""
        match self.method, self.parts:
            case "POST", ["deployments"]:
                return f"register {self.body['uri']}"
            case "DELETE", ["deployments", id_]:
                return f"delete deployment {id_} "
            case "PATCH", ["invocations", id_, verb]:
                return f"{verb} {id_}"
            case "POST", ["services", service, "state"]:
                return f"clear the state left of {service}/{self.body['object_key']}"
        return f"(nobody announces {self.method} {self.path})"

    @property
    def item(self) -> Item:
        match self.method, self.parts:
            case "POST", ["deployments"]:
                return "worker", str(self.body["uri"])
            case "DELETE", ["deployments", id_]:
                return "deployment", id_
            case "POST", ["services", service, "state"]:
                return "state", f"{service}/{self.body['object_key']}"
        return "invocation", self.parts[1]

    def __str__(self) -> str:
        return f"{self.method} {self.path} at {self.at:%H:%M:%S.%f}"


@dataclass(frozen=True)
class Fault:
    """Something that was broken: from now on a write about it is wanted again."""

    at: datetime
    item: Item


@dataclass(frozen=True)
class Kill:
    """One SIGKILL: what set it off, and what the daemon was doing by the ledger and its log."""

    at: datetime
    trigger: str
    phase: Phase
    operation: str | None = None


@dataclass
class State:
    """The server at the end, by its own word."""

    registered: frozenset[str] = frozenset()
    """URLs of deployments that serve something."""
    deployments: frozenset[str] = frozenset()
    """Their ids."""
    invocations: Mapping[str, str] = field(default_factory=dict)
    """Status by id."""


@dataclass
class Record:
    """All that is known of one server, its daemons and their ledger."""

    writes: list[Write] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    cooldown: timedelta = timedelta(0)
    limits: dict[str, int] = field(default_factory=dict)
    """By remedy: how many operations at most, ever."""
    once: frozenset[str] = frozenset()
    """The remedies that may be used once on an item, ever."""
    operations: tuple[Operation, ...] = ()
    """Oldest first."""
    counted: frozenset[str] = frozenset()
    """Ids of those that count against limits."""
    items: Mapping[str, Mapping[str, ItemOutcome | None]] = field(default_factory=dict)
    """By operation, by key."""
    entries: tuple[Entry, ...] = ()
    head: Head = field(default_factory=Head)
    state: State = field(default_factory=State)
