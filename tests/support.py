"""The types of the shared fixtures, for the annotations of tests, and what several folders need.

The fixtures themselves are in conftest.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import structlog

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


@contextmanager
def logging_as_it_was() -> Iterator[None]:
    """Commands set up logging for their process, which a test's goes on using."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    try:
        yield
    finally:
        root.handlers, root.level = handlers, level
        logging.captureWarnings(capture=False)
        structlog.reset_defaults()
