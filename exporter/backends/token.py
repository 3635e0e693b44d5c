"""A secret that may change while we run."""

from __future__ import annotations

from typing import Protocol


class Token(Protocol):
    """A token that may change: secret files are rotated under us."""

    def __call__(self) -> str | None:
        """The token as last read; None when none is needed."""

    def refresh(self) -> None:
        """Read it again."""
