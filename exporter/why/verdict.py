"""What ``why`` answers: links that hold, one that is broken, and the command that mends it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class LinkState(StrEnum):
    """How one link of the chain is."""

    OK = "ok"
    WAITING = "waiting"
    """As it should be, and not done yet."""
    NOTHING = "nothing"
    """There is nothing to look at: never submitted, or no longer remembered."""
    NOT_ASKED = "not asked"
    """Left alone on purpose."""
    UNKNOWN = "unknown"
    """It could not be read."""
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Link:
    """One link. ``says`` is a sentence without its full stop."""

    name: str
    state: LinkState
    says: str
    advice: str = ""
    """What a person does, beside or before the command."""
    command: tuple[str, ...] = ()
    """The words of a restate-medic command, without target and configuration."""
    unreachable: bool = False
    """Broken because nothing answers there."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The links in order, up to the first broken one."""

    service: str
    key: str | None
    target: str
    links: tuple[Link, ...]

    @property
    def broken(self) -> Link | None:
        """The first broken link; the chain ends with it."""
        return next((link for link in self.links if link.state is LinkState.BROKEN), None)

    @property
    def unknown(self) -> tuple[Link, ...]:
        """What could not be read."""
        return tuple(link for link in self.links if link.state is LinkState.UNKNOWN)

    @property
    def fine(self) -> bool:
        """Whether everything was read and nothing is broken."""
        return self.broken is None and not self.unknown

    @property
    def ending(self) -> Link:
        """The link that answers the question: the broken one, or the last."""
        return self.broken or self.links[-1]
