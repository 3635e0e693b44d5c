"""The report about a night (or any other time up to now), as programs read it.

Moments are ISO 8601 with ``Z``, lengths are seconds; what is absent or unknown is null.
"""

from __future__ import annotations

from exporter.model.operation import Outcome, Phase
from exporter.wire.body import Answer


class GapBody(Answer):
    """Nobody acted for the targets, and nothing was recorded."""

    since: str | None
    """Null: nobody knows since when."""
    until: str | None
    """Null: still so."""


class DeedBody(Answer):
    """What was done, or would have been: one operation."""

    id: str
    target: str
    remedy: str
    policy: str | None
    by: str
    """``policy:NAME``, or who asked."""
    approved_by: str | None
    phase: Phase
    outcome: Outcome | None
    """Null while it is open."""
    summary: str
    items: int
    begun_at: str
    finished_at: str | None
    heal_seconds: float | None
    """From the condition having become true to having been seen to be well again."""
    relapsed_at: str | None
    error: str | None


class WrongBody(Answer):
    """What a policy's condition said: something was wrong, or nobody could tell."""

    target: str
    policy: str
    item: str | None
    known: bool
    """False: all that time nobody knew whether the condition was true."""
    since: str
    until: str | None
    """Null: still so."""
    seconds: float


class HeldBody(Answer):
    """What a policy did not do, and why: one reason, all times that it held it added up."""

    target: str
    policy: str
    item: str | None
    reason: str
    detail: str
    times: int
    seconds: float
    """Within the report's time."""
    holds_now: bool


class ProposalBody(Answer):
    """A plan that waits for a yes or a no."""

    id: str
    target: str
    policy: str | None
    summary: str
    since: str
    expires_at: str | None


class StoppedBody(Answer):
    """A policy that a breaker stops on a target."""

    breaker: str
    """As the API names it."""
    policy: str
    target: str
    remedy: str
    why: str
    until: str | None
    """Null: until a person resets it."""


class RestBody(Answer):
    """A pause that ends within a day, or that only a person ends."""

    id: int
    what: str
    owner: str
    reason: str
    expires_at: str | None


class StrangerBody(Answer):
    """A target that looks like another Restate, or was wiped."""

    target: str
    detail: str
    since: str
    accepted_at: str | None
    accepted_by: str | None


class WaitingBody(Answer):
    """What waits for a person."""

    proposals: tuple[ProposalBody, ...]
    breakers: tuple[StoppedBody, ...] | None
    """Null: nobody knows, since the policies cannot be loaded now."""
    pauses: tuple[RestBody, ...]
    identities: tuple[StrangerBody, ...]
    """Those that nobody accepted yet."""


class HealBody(Answer):
    """How long heals took, from the condition having become true to being seen to be well."""

    count: int
    median_seconds: float
    worst_seconds: float
    worst: str
    """The operation's id."""


class ReportBody(Answer):
    """Everything of one report. Lists are in the order in which they are to be read."""

    verdict: str
    """One sentence."""
    since: str
    until: str
    knows_since: str | None
    """Later than ``since``: before it the ledger knows nothing. Null: it knows nothing at all."""
    notes: tuple[str, ...]
    """What keeps the report from being complete."""
    targets: tuple[str, ...]
    """Those that are configured now."""
    unjudged: tuple[str, ...]
    """Those of them that no policy looks at now, so that nobody says what was wrong there."""
    unattended: tuple[GapBody, ...]
    attention: tuple[DeedBody, ...]
    """What ended badly, in doubt, or did not last; worst first."""
    waiting: WaitingBody
    wrong: tuple[WrongBody, ...]
    done: tuple[DeedBody, ...]
    """Also those of ``attention``, oldest first."""
    rehearsed: tuple[DeedBody, ...]
    not_done: tuple[DeedBody, ...]
    """Refused, expired, withdrawn or rejected."""
    held: tuple[HeldBody, ...]
    """Longest first."""
    accepted: tuple[StrangerBody, ...]
    """Changes of identity that a person accepted meanwhile."""
    heal: HealBody | None
    """Null when nothing healed whose beginning is known."""
