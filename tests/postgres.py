"""A real PostgreSQL of our own, as a fixture that a conftest takes over by importing it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


def _programs() -> Path | None:
    """The folder of PostgreSQL's server programs, which Debian keeps off the PATH."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return debian[-1].parent if debian else None


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """A private cluster that answers on a Unix socket only; the URL of its first database."""
    programs = _programs()
    if programs is None:
        reason = "PostgreSQL is not installed (Debian: apt-get install postgresql)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    # The server refuses to run as root. A socket's path must be short, too short for tmp_path.
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    if user:
        shutil.chown(folder, user)
    data, log = folder / "data", folder / "log"
    settings = f"-k {folder} -c listen_addresses= -c fsync=off -c full_page_writes=off"

    def run(*command: str | Path) -> None:
        subprocess.run(command, user=user, check=True, cwd=folder, stdout=subprocess.DEVNULL)

    try:
        run(programs / "initdb", "-D", data, "-U", "medic", "-A", "trust", "-E", "UTF8", "-N")
        run(programs / "pg_ctl", "-D", data, "-l", log, "-o", settings, "-w", "start")
        try:
            yield f"postgresql://medic@/postgres?host={folder}"
        finally:
            run(programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder)
