"""The section ``alertmanager``: which one is asked, and when what it said is too old."""

from __future__ import annotations

from datetime import timedelta
from typing import Self
from urllib.parse import urlsplit

from pydantic import field_validator, model_validator

from exporter.model.duration import format_duration
from exporter.policy.blockers import read_watchdog
from exporter.policy.matchers import Matcher
from exporter.settings.fields import BaseUrl, Duration, Interval, problem
from exporter.settings.secrets import SecretRef, Section


class BasicAuthSettings(Section):
    """A user name and where the password is kept."""

    username: str
    """Without a colon."""
    password: SecretRef
    """Where the password is kept."""

    @field_validator("username")
    @classmethod
    def _a_name(cls, name: str) -> str:
        if not name or ":" in name:
            raise ValueError(f"{name!r} is no user name; write one without a colon")
        return name

    @field_validator("password")
    @classmethod
    def _readable(cls, ref: SecretRef) -> SecretRef:
        ref.read()
        return ref


class AlertmanagerSettings(Section):
    """The Alertmanager that policies ask."""

    url: BaseUrl
    """Where it is, without ``/api``."""
    token: SecretRef | None = None
    """A bearer token."""
    basic_auth: BasicAuthSettings | None = None
    """In place of a token."""
    interval: Interval = timedelta(seconds=15)
    """How often it is read, at most; once for all policies."""
    max_age: Duration = timedelta(minutes=1)
    """What it said longer ago is unknown."""
    warm_up: Duration = timedelta(minutes=2)
    """For so long after its start it may not know all that fires."""
    watchdog: str | None = None
    """Matchers of an alert that always fires; without it nothing else is believed."""
    silences: bool = True
    """Whether a silence that covers a target holds its policies."""

    @property
    def secrets(self) -> tuple[SecretRef, ...]:
        """Where every secret of it is kept."""
        password = None if self.basic_auth is None else self.basic_auth.password
        return tuple(ref for ref in (self.token, password) if ref is not None)

    @property
    def watched(self) -> tuple[Matcher, ...]:
        """The watchdog's matchers."""
        return () if self.watchdog is None else read_watchdog(self.watchdog)

    @field_validator("token")
    @classmethod
    def _readable(cls, ref: SecretRef | None) -> SecretRef | None:
        if ref is not None:
            ref.read()
        return ref

    @field_validator("watchdog")
    @classmethod
    def _matchers(cls, text: str | None) -> str | None:
        if text is not None:
            read_watchdog(text)
        return text

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.token is not None and self.basic_auth is not None:
            raise problem(("basic_auth",), "stands beside token; write only one of them")
        if self.secrets and urlsplit(self.url).username is not None:
            raise problem(("url",), "carries a user name beside token or basic_auth; remove it")
        if self.max_age <= self.interval:
            message = (
                "is not longer than interval, so it would be unknown in between; write more than"
            )
            raise problem(("max_age",), f"{message} {format_duration(self.interval)}")
        return self
