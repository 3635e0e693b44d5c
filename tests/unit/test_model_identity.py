"""Which Restate this is: a rollout is the same one, a wiped or another one is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.model.component import Component, Reason
from exporter.model.identity import Identities, Identity, differs, identity_of, merged
from exporter.model.views import AdminView
from tests.unit.policy_scenes import NOW, TWO, report, views


def known(cluster: str | None, *deployments: str) -> Identity:
    return Identity(cluster, frozenset(deployments))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (known("a", "1"), known("a", "1"), None),
        (known("a", "1", "2"), known("a", "2", "3"), None),
        (known("a"), known("a"), None),
        (known("a"), known("a", "1"), None),
        (known("a", "1"), known(None, "1"), None),
        (known(None, "1"), known("a", "1"), None),
        (known("a", "1"), known("b", "1"), "was a and is now b"),
        (known("a", "1"), known("a"), "none of the 1 known deployment is"),
        (known("a", "1", "2"), known("a", "3"), "none of the 2 known deployments is"),
    ],
)
def test_what_is_another_restate(before: Identity, after: Identity, said: str | None) -> None:
    """Another name, or nothing left of what was known; what came and went in between is not."""
    found = differs(before, after)
    assert (said in found) if said and found else (found == said)


def test_it_is_unknown_while_deployments_are_unknown() -> None:
    """A failed read is no empty list."""
    seen = views(TWO)
    whole = report(seen, target=TWO)
    assert identity_of(whole, NOW) == known(None, "dp_0", "dp_1")
    named = report({**seen, Component.ADMIN: AdminView("1.7.12", "lab")}, target=TWO)
    assert identity_of(named, NOW) == known("lab", "dp_0", "dp_1")
    failed = report(seen, failed={Component.DEPLOYMENTS: Reason.TIMEOUT}, target=TWO)
    assert identity_of(failed, NOW) is None
    nameless = report(seen, failed={Component.ADMIN: Reason.TIMEOUT}, target=TWO)
    assert identity_of(nameless, NOW) == known(None, "dp_0", "dp_1")


def test_a_name_that_is_not_told_any_more_is_kept() -> None:
    """An upgrade to a server that no longer tells it loses nothing."""
    assert merged(known("a", "1"), known(None, "2")) == known("a", "2")
    assert merged(None, known(None, "2")) == known(None, "2")


def test_a_change_stays_until_a_reading_shows_otherwise() -> None:
    """Deployments that cannot be read are no proof that the known ones are back."""
    memory, before = Identities(), known(None, "dp_9")
    whole = report(views(TWO), target=TWO)
    memory.look("prod", whole, before, now=NOW)
    assert memory.change("prod") is not None
    assert memory.news("prod", before) is None
    failed = report(views(TWO), failed={Component.DEPLOYMENTS: Reason.TIMEOUT}, target=TWO)
    memory.look("prod", failed, before, now=NOW)
    assert memory.change("prod") is not None
    memory.look("prod", whole, known(None, "dp_1"), now=NOW)
    assert memory.change("prod") is None
    assert memory.news("prod", known(None, "dp_1")) == known(None, "dp_0", "dp_1")


def test_after_a_restart_it_is_not_taken_for_granted() -> None:
    """Until deployments were read once, a known target may be another one; a new one not."""
    memory = Identities()
    failed = report(views(TWO), failed={Component.DEPLOYMENTS: Reason.TIMEOUT}, target=TWO)
    memory.look("prod", failed, known(None, "dp_0"), now=NOW)
    assert memory.change("prod") is not None
    memory.look("new", replace(failed, target="new"), None, now=NOW)
    assert memory.change("new") is None
    memory.forget("prod")
    assert memory.change("prod") is None
