"""What the user expects of one Restate environment. Addresses and secrets live in the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Literal
from urllib.parse import SplitResult, urlsplit, urlunsplit

from exporter.model.component import Component
from exporter.model.heartbeat import Heartbeat

TargetKind = Literal["restate", "dalp"]

DEFAULT_INTERVALS: Mapping[Component, timedelta] = MappingProxyType(
    {
        Component.INGRESS: timedelta(seconds=15),
        Component.ADMIN: timedelta(seconds=15),
        Component.DEPLOYMENTS: timedelta(seconds=15),
        Component.SERVICES: timedelta(seconds=15),
        Component.INVOCATIONS: timedelta(seconds=60),
        Component.DRIFT: timedelta(minutes=5),
    }
)


@lru_cache(maxsize=4_096)
def normalise_url(url: str) -> str:
    """Write a service URL the way the server stores it, so that the two compare equal.

    A real server turns ``http://H:9080`` into ``http://h:9080/`` (restate-facts, Deployments) and
    leaves path, query and a trailing slash alone. An ARN or anything without a host is unchanged.
    """
    url = url.strip()
    parts = _split(url)
    if parts is None or not parts.netloc:
        return url
    user, at, host = parts.netloc.rpartition("@")
    default_port = {"http": ":80", "https": ":443"}.get(parts.scheme.lower(), "")
    host = host.lower()
    if default_port and host.endswith(default_port):
        host = host.removesuffix(default_port)
    return urlunsplit(
        (
            parts.scheme.lower(),
            user + at + host,
            parts.path or "/",
            parts.query.strip(),
            parts.fragment,
        )
    )


def _split(url: str) -> SplitResult | None:
    """The parts of a URL; None for what is none at all, such as ``http://[::1``."""
    try:
        return urlsplit(url)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Worker:
    """A service endpoint the user expects to be registered. ``url`` is normalised."""

    url: str
    services: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """One Restate environment as rules see it: expectations, labels, and how often it is read."""

    name: str
    kind: TargetKind = "restate"
    workers: tuple[Worker, ...] = ()
    expected_services: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    protected_metadata: Mapping[str, str] = field(default_factory=dict)
    """A deployment whose metadata has all of these pairs is never touched (empty: none is)."""
    intervals: Mapping[Component, timedelta] = field(default_factory=lambda: DEFAULT_INTERVALS)
    """The components that are probed, and how often. A component that is absent is ``off``."""
    heartbeat: Heartbeat | None = None
    """The invocation that is made now and then; None: none ever is."""

    @property
    def expected(self) -> frozenset[str]:
        """Every service name that should be registered."""
        return frozenset(self.expected_services).union(*(w.services for w in self.workers))

    def expected_of(self, worker: Worker) -> frozenset[str]:
        """The services this worker should bring: its own, or all when it is the only worker."""
        if worker.services:
            return frozenset(worker.services)
        return frozenset(self.expected_services) if len(self.workers) == 1 else frozenset()


_PLACEHOLDER_HOSTS = ("example.com", "example.org", "example.net", "example", "invalid")
_PLACEHOLDER_MARKS = ("your-domain", "yourdomain", "your-platform", "<", ">", "{{", "changeme")


def is_placeholder(url: str) -> bool:
    """Whether a URL is a template's stand-in: registering one silently does nothing useful.

    A deploy once fell through to such a URL and no-opped (reference: the registration gotcha).
    """
    parts = _split(url)
    host = (parts.hostname or "").lower() if parts else ""
    reserved = any(host == h or host.endswith("." + h) for h in _PLACEHOLDER_HOSTS)
    return reserved or any(mark in url.lower() for mark in _PLACEHOLDER_MARKS)
