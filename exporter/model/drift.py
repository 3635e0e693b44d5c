"""How a worker's answer differs from what is registered: the test for the registration gotcha.

A forced registration silently accepts a dropped service, a dropped handler and a changed type
(restate-facts, Deployments), so this comparison is also what protects a re-registration.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from exporter.model.views import ServiceShape


@dataclass(frozen=True, slots=True)
class Drift:
    """Differences as ``Svc`` or ``Svc/handler``, each sorted."""

    added: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    """Handlers whose kind differs (``Svc/handler``)."""
    type_changed: tuple[str, ...] = ()
    """Services whose type differs (``Svc``)."""

    @property
    def any(self) -> bool:
        """Whether registering again would change anything."""
        return bool(self.added or self.dropped or self.changed or self.type_changed)

    def as_json(self) -> dict[str, Any]:
        """The same four lists, for ledgers and answers."""
        return {
            "added": list(self.added),
            "dropped": list(self.dropped),
            "changed": list(self.changed),
            "typeChanged": list(self.type_changed),
        }


def compare(discovered: Iterable[ServiceShape], registered: Iterable[ServiceShape]) -> Drift:
    """Compare by service name, service type, handler name and handler kind."""
    now = {s.name: s for s in discovered}
    then = {s.name: s for s in registered}
    added, dropped = list(now.keys() - then.keys()), list(then.keys() - now.keys())
    changed: list[str] = []
    type_changed: list[str] = []
    for name in sorted(now.keys() & then.keys()):
        if now[name].type != then[name].type:
            type_changed.append(name)
        new = {h.name: h.type for h in now[name].handlers}
        old = {h.name: h.type for h in then[name].handlers}
        added += [f"{name}/{h}" for h in new.keys() - old.keys()]
        dropped += [f"{name}/{h}" for h in old.keys() - new.keys()]
        changed += [f"{name}/{h}" for h in sorted(new.keys() & old.keys()) if new[h] != old[h]]
    return Drift(tuple(sorted(added)), tuple(sorted(dropped)), tuple(changed), tuple(type_changed))


def fingerprint(shapes: Iterable[ServiceShape]) -> str:
    """A text that is equal exactly when two discoveries offer the same services and handlers."""
    rows = [
        [s.name, s.type, *([h.name, h.type] for h in sorted(s.handlers))]
        for s in sorted(shapes, key=lambda s: s.name)
    ]
    return json.dumps(rows, separators=(",", ":"))


def names_in(printed: str) -> frozenset[str]:
    """The services that a fingerprint was made of."""
    return frozenset(str(row[0]) for row in json.loads(printed))
