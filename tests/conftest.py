"""Fixtures for everybody: real Restate servers, real workers, real tools.

What only reads, or writes under names of its own, shares a server for the whole run (`restate`,
`any_restate`); what deletes, forces or breaks something starts one (`fresh_restate`). So does what
runs a daemon that looks every second: it discovers all that is registered, and the workers of
earlier tests, which are gone, take ten seconds each.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

from lab import VERSIONS, RestateServer, ServiceSpec, Version, Worker
from tests.support import ServerFactory, ToolFinder, WorkerFactory

settings.register_profile("repository", deadline=None)  # other processes share the machine
settings.load_profile("repository")

_MARKED_FOLDERS = ("integration", "e2e")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of these folders with the folder's name."""
    for item in items:
        for folder in _MARKED_FOLDERS:
            if folder in item.path.parent.parts:
                item.add_marker(folder)


@pytest.fixture(scope="session")
def shared_restate() -> Iterator[ServerFactory]:
    """One server a version for the whole run, started when first asked for."""
    with ExitStack() as stack:

        @cache
        def start(version: Version = "1.7") -> RestateServer:
            return stack.enter_context(RestateServer(version))

        yield start


@pytest.fixture(scope="session")
def restate(shared_restate: ServerFactory) -> RestateServer:
    """The shared server of the newest version."""
    return shared_restate("1.7")


@pytest.fixture(scope="session", params=VERSIONS)
def any_version(request: pytest.FixtureRequest) -> Version:
    """Runs the test once for each version that we support."""
    version: Version = request.param
    return version


@pytest.fixture(scope="session")
def any_restate(shared_restate: ServerFactory, any_version: Version) -> RestateServer:
    """The shared server, once for each version that we support."""
    return shared_restate(any_version)


@pytest.fixture
def fresh_restate() -> Iterator[ServerFactory]:
    """Starts servers for this test alone."""
    with ExitStack() as stack:

        def start(version: Version = "1.7") -> RestateServer:
            return stack.enter_context(RestateServer(version))

        yield start


@pytest.fixture
def each_restate(fresh_restate: ServerFactory, any_version: Version) -> RestateServer:
    """A server for this test alone, once for each version that we support."""
    return fresh_restate(any_version)


@pytest.fixture
def worker_factory() -> Iterator[WorkerFactory]:
    """Starts workers for this test alone."""
    with ExitStack() as stack:

        def start(*services: ServiceSpec, alternate: Iterable[ServiceSpec] | None = None) -> Worker:
            return stack.enter_context(Worker(services, alternate=alternate))

        yield start


@pytest.fixture(scope="session")
def tool() -> ToolFinder:
    """Finds a real tool; without it the test is skipped, but fails where CI is set."""

    def find(name: str) -> Path:
        if path := shutil.which(name):
            return Path(path)
        reason = f"{name} is not installed; .ci/run lists the packages"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)

    return find
