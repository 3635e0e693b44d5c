"""From checked shapes to the frozen policy that is decided by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import time, timedelta
from fractions import Fraction
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from exporter.model.decision import Mode
from exporter.model.operation import Budget, Window
from exporter.policy.actions import ACTIONS
from exporter.policy.blockers import Blocker
from exporter.policy.breaker import Breaker
from exporter.policy.cel import Condition
from exporter.policy.document import Path
from exporter.policy.fields import MIDNIGHT
from exporter.policy.policy import Policy, Selector, Verify
from exporter.policy.schema import BreakerModel, PolicyModel, StormModel, WindowModel
from exporter.policy.storm import Storm
from exporter.policy.windows import DAYS, DayWindow
from exporter.policy.written import Written


def make_policy(
    model: PolicyModel,
    condition: Condition,
    arguments: dict[str, Any],
    blockers: tuple[Blocker, ...],
    *,
    written: Written,
    path: Path,
    limits: tuple[Window, ...],
) -> Policy:
    """The policy that a checked document means; ``limits`` are the ones over everything."""
    windows = tuple(Window(w.scope, w.max, w.per) for w in model.limits or ())
    budget = Budget(model.cooldown, windows + limits)
    action, targets = next(iter(model.action)), model.targets
    if not ACTIONS[action].mends:
        budget = Budget(model.cooldown, own_cooldown=True)
    return Policy(
        name=model.name,
        mode=Mode(model.mode),
        selector=Selector(
            tuple(targets.names or ()) if targets else (),
            MappingProxyType(dict(targets.labels or {}) if targets else {}),
        ),
        for_each=model.for_each,
        condition=condition,
        for_=model.for_ or timedelta(0),
        action=action,
        arguments=MappingProxyType(arguments),
        budget=budget,
        verify=Verify(model.verify.within, model.verify.healthy_for),
        storm=_storm(model.storm),
        breaker=_breaker(model.breaker),
        windows=tuple(_window(w) for w in model.windows or ()),
        block_on_alerts=blockers,
        notify=tuple(model.notify or ()),
        revision=revision(model, arguments),
        text=json.dumps(written.document.data["policies"][path[1]], ensure_ascii=False),
        place=written.place(path),
        places=MappingProxyType(_places(written, path, action, arguments)),
    )


def _places(written: Written, path: Path, action: str, arguments: Iterable[str]) -> dict[str, str]:
    """The places of the parts that are checked later, against targets."""
    parts: list[Path] = [("name",), ("targets",), ("targets", "names"), ("targets", "labels")]
    parts += [("mode",), ("for_each",), ("when",), ("verify",), ("verify", "within")]
    parts += [("block_on_alerts",), ("notify",), ("action",)]
    parts += [("action", action, name) for name in arguments]
    return {
        ".".join(map(str, part)): written.place((*path, *part))
        for part in parts
        if (*path, *part) in written.document.values
    }


def _storm(model: StormModel) -> Storm:
    share = Fraction(model.max_unhealthy.removesuffix("%")) / 100
    return Storm(share, model.at_least, model.at_most, model.max_items)


def _breaker(model: BreakerModel) -> Breaker:
    reset = model.reset if isinstance(model.reset, timedelta) else None
    return Breaker(model.failed, model.per, reset)


def _window(model: WindowModel) -> DayWindow:
    return DayWindow(
        days=frozenset(DAYS.index(day) for day in model.days),
        start=time.fromisoformat(model.start),
        end=None if model.end == MIDNIGHT else time.fromisoformat(model.end),
        zone=ZoneInfo(model.timezone),
    )


def revision(model: PolicyModel, arguments: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits that change exactly when the policy says something else."""
    says = model.model_dump(by_alias=True) | {"when": model.when.strip()}
    says["action"] = {next(iter(model.action)): dict(arguments)}
    text = json.dumps(says, sort_keys=True, default=_seconds)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _seconds(value: object) -> float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    raise TypeError(f"{value!r} has no canonical form")
