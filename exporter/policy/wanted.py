"""What policies need to be read of a target beyond what is always read. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from exporter.model.decision import Mode
from exporter.model.target import Target
from exporter.model.wanted import Wanted
from exporter.policy.fields import ANY
from exporter.policy.policy import Policy

_COMPLETED = "invocations.completed"


def wanted_by(policies: Iterable[Policy], target: Target, most: Mode) -> Wanted:
    """What the policies about a target want, as far as ``most`` lets them look; off wants nothing.

    Only the services that some action names are listed: the others would fill the list.
    """
    named: set[str] = set()
    mine = [p for p in policies if p.for_each == _COMPLETED and p.matches(target)]
    mine = [p for p in mine if Mode.OFF not in {p.mode, most}]
    for policy in mine:
        named.update(policy.arguments.get("service", (ANY,)))
    if not mine:
        return Wanted()
    return Wanted(completed=frozenset() if ANY in named else frozenset(named))
