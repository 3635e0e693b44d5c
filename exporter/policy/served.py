"""What a target's backend can serve of what policies may ask for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from exporter.model.decision import Mode


@dataclass(frozen=True, slots=True)
class ServedRemedy:
    """One remedy as a backend can carry it out."""

    most: Mode = Mode.ENFORCE
    """The highest mode it may have there."""
    why: str = ""
    """Why no higher one."""
    cannot: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Arguments that must not be written, each with the reason."""


@dataclass(frozen=True, slots=True)
class Served:
    """Everything that a backend can serve."""

    remedies: Mapping[str, ServedRemedy] = field(default_factory=lambda: MappingProxyType({}))
    variables: frozenset[str] | None = None
    """The variables that are ever known there; None: all of them."""
    lists: frozenset[str] | None = None
    """The kinds of ``for_each`` that are ever known there; None: all of them."""

    @classmethod
    def all_of(cls, remedies: Iterable[str]) -> Served:
        """Everything, of these remedies."""
        return cls(dict.fromkeys(remedies, ServedRemedy()))
