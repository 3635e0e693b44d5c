"""Describes the services of a lab worker, and carries the description to its process.

What such a service does when it is called is left to `lab.behaviour`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["service", "object", "workflow"]


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One service of a worker.

    A workflow's handler `run` runs once a key; its other handlers are shared ones. After
    `pause_after` failing attempts, 10 ms apart, an invocation is paused; None keeps the server's
    retry policy (70 attempts over hours).
    """

    name: str
    kind: Kind = "service"
    handlers: tuple[str, ...] = ("run",)
    pause_after: int | None = None


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """What a worker serves: its services, and those of every second discovery if it flaps."""

    services: tuple[ServiceSpec, ...]
    alternate: tuple[ServiceSpec, ...] | None = None

    def to_json(self) -> str:
        """Return the form that `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> WorkerSpec:
        """Read what `to_json` wrote."""
        raw = json.loads(text)
        alternate = raw["alternate"]
        return cls(_services(raw["services"]), None if alternate is None else _services(alternate))


def _services(raw: list[dict[str, Any]]) -> tuple[ServiceSpec, ...]:
    return tuple(ServiceSpec(**(entry | {"handlers": tuple(entry["handlers"])})) for entry in raw)
