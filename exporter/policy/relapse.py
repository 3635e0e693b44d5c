"""Which successes did not last. Pure: a reading, what the ledger knows, and a time in.

A remedy says what being broken again looks like; what follows from it is the breaker's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta

from exporter.model.relapse import BrokenAgain, Helped, Relapse


def relapses(
    target: str,
    remedy: str,
    seen: BrokenAgain,
    helped: Callable[[str], Helped | None],
    *,
    per: timedelta,
) -> tuple[Relapse, ...]:
    """The operations to blame: of each item only the newest that helped it, each only once.

    A reading that began before the operation had ended may be older than its success. Exactly
    ``per`` after its end no longer counts, and what a person asked for never does.
    """
    items: defaultdict[str, list[str]] = defaultdict(list)
    policies: dict[str, str] = {}
    for key, since in sorted(seen.since.items()):
        last = helped(key)
        if last is None or last.policy is None or last.relapsed:
            continue
        if seen.read_at > last.finished_at and since - last.finished_at < per:
            items[last.operation_id].append(key)
            policies[last.operation_id] = last.policy
    return tuple(
        Relapse(id_, target, remedy, policies[id_], tuple(keys), seen.read_at)
        for id_, keys in items.items()
    )
