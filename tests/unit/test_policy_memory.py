"""How long the ledger must be kept for the policies that ask it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from exporter.app.check import check
from exporter.model.errors import ConfigurationError
from exporter.model.operation import Budget, Window
from exporter.policy.breaker import Breaker
from exporter.policy.memory import Forever, forever, too_short
from exporter.policy.policy import Policy
from exporter.settings.load import load
from tests.unit import policy_scenes
from tests.unit.test_cli import Folder

DAY = timedelta(days=1)
SHORT = Budget(DAY, (Window("target", 3, DAY),))


def policy(**changes: Any) -> Policy:
    one = replace(policy_scenes.policy(), name="heal", place="heal.yaml:3:5", budget=SHORT)
    return replace(one, **changes)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({}, None),
        ({"budget": Budget(DAY, (Window("item", 3, None),))}, None),
        ({"budget": Budget(40 * DAY, SHORT.windows)}, "cooldown"),
        (
            {"budget": Budget(DAY, (Window("global", 1, DAY), Window("policy", 3, 40 * DAY)))},
            "limit over policy",
        ),
        ({"breaker": Breaker(per=40 * DAY)}, "breaker"),
        ({"breaker": Breaker(reset=40 * DAY)}, "breaker's reset"),
    ],
)
def test_the_longest_look_back_must_fit(changes: dict[str, Any], what: str | None) -> None:
    """It says whose it is, where that is written, and what to write; ``forever`` is kept anyway."""
    one = policy(**changes)
    problem = too_short(30 * DAY, [policy(), one])
    if what is None:
        assert problem is None
        return
    assert problem == (
        f"storage.keep: 30d is shorter than the {what} of policy heal (heal.yaml:3:5),"
        " which looks back 40d; write 40d or more"
    )
    assert too_short(40 * DAY, [one]) is None


def test_what_is_counted_for_ever_is_named() -> None:
    """By remedy for items and targets, by name for policies; an ``off`` policy's, too."""
    scopes: tuple[Any, ...] = ("item", "target", "policy", "global")
    one = policy(budget=Budget(DAY, tuple(Window(scope, 3, None) for scope in scopes)))
    assert forever([policy()]) == Forever()
    remedy = frozenset({one.action})
    assert forever([policy(), one]) == Forever(remedy, remedy, frozenset({"heal"}), everything=True)


def test_a_configuration_that_forgets_too_early_is_refused(tmp_path: Path) -> None:
    """As a whole, when it is loaded or reloaded."""
    folder = Folder(tmp_path)
    folder.configure(more="storage: {keep: 30d}\nlimits: [{max: 9, per: 90d}]\n")
    folder.policies()
    with pytest.raises(ConfigurationError, match="write 90d or more"):
        check(load(folder.file))
    folder.configure(more="storage: {keep: 90d}\nlimits: [{max: 9, per: 90d}]\n")
    assert check(load(folder.file))
