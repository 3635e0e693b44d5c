"""The types of the shared fixtures, for the annotations of tests; the fixtures are in conftest."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from lab import RestateServer, ServiceSpec, Version, Worker


class ServerFactory(Protocol):
    """Starts a Restate server that belongs to the test alone and ends with it."""

    def __call__(self, version: Version = "1.7") -> RestateServer: ...


class WorkerFactory(Protocol):
    """Starts a worker, registered nowhere, that ends with the test."""

    def __call__(
        self, *services: ServiceSpec, alternate: Iterable[ServiceSpec] | None = None
    ) -> Worker: ...


class ToolFinder(Protocol):
    """Finds a program from outside Python that a test needs, like promtool."""

    def __call__(self, name: str) -> Path: ...
