"""The errors that cross module borders, named by what the caller should do about them.

An adapter translates what its library raises into one of these, ``from`` the cause.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from exporter.model.component import Reason


class MedicError(Exception):
    """Anything restate-medic says on purpose. ``str()`` is fit for a person and free of secrets."""


class CallFailedError(MedicError):
    """A call to a remote system has no usable answer: treat what it asked for as unknown.

    ``sent`` tells whether the request may have reached the other side: a failed *write* with
    ``sent`` true has an unknown outcome and must be read again before anything else.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        http_status: int | None = None,
        retry_after: timedelta | None = None,
        sent: bool = True,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.http_status = http_status
        self.retry_after = retry_after
        self.sent = sent
        self.code = code
        """The remote system's own error code, such as Restate's ``META0003``."""

    @property
    def outcome_unknown(self) -> bool:
        """Whether a write that failed like this may still have happened (restate-facts: 503)."""
        if not self.sent:
            return False
        # A success whose body cannot be read happened; 502 to 504 come from in between.
        return self.http_status is None or self.http_status < 400 or self.http_status >= 502  # noqa: PLR2004


class RefusedError(MedicError):
    """A preflight or a re-read found that acting would be wrong. Hold; nothing was written.

    ``reason`` is a bounded kebab-case word (``not-latest``, ``drop-service`` ...); ``override``
    is the ``allow`` word with which a person may insist, if any.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        override: str | None = None,
        data: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.override = override
        self.data = dict(data)


class RefusedElsewhereError(RefusedError):
    """The other side refused what it was asked for, before it wrote anything itself.

    It comes after a write was announced, and stands for none all the same.
    """


class InFlightError(MedicError):
    """Another operation is open on the target: wait for it, or look at it."""

    def __init__(self, message: str, *, operation_id: str) -> None:
        super().__init__(message)
        self.operation_id = operation_id


class StoppedError(MedicError):
    """A policy may not write any more: write nothing further, and let later rounds decide.

    ``reason`` is the hold reason's word (``outside_window``, ``paused`` ...).
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class LeaseLostError(MedicError):
    """This process no longer owns the operation: stop writing at once."""


class LedgerUnavailableError(MedicError):
    """The ledger cannot be read or written: no action until it can."""


class AmbiguousError(MedicError):
    """Several things match what was asked for: name one of them. ``matches`` lists some."""

    def __init__(self, message: str, *, matches: tuple[str, ...]) -> None:
        super().__init__(message)
        self.matches = matches


class NotFoundError(MedicError):
    """Nothing has the name that was asked for. ``known`` lists some that there are."""

    def __init__(self, message: str, *, kind: str, known: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.kind = kind
        """What was looked for: ``target``, ``policy``, ``operation``, ``pause`` ..."""
        self.known = known


class NameTakenError(MedicError):
    """Something else has this name: choose another."""


class LimitReachedError(MedicError):
    """A limit or cooldown forbids the operation now. ``reason`` is the hold reason's word."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ConfigurationError(MedicError):
    """Configuration or policies cannot be used. ``problems`` has one line each: place, mend."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
