"""Runs a command as the unit in deploy/systemd lets it run, without a systemd that is running."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy" / "systemd" / "restate-medic.service"

NOBODY = 65534

# PR_SET_NO_NEW_PRIVS is 38; PR_SET_MDWE, which is MemoryDenyWriteExecute=, is 65.
_DENY = (
    "import ctypes, os, sys\n"
    "libc = ctypes.CDLL(None, use_errno=True)\n"
    "assert libc.prctl(38, 1, 0, 0, 0) == 0\n"
    "libc.prctl(65, 1, 0, 0, 0)\n"  # since Linux 6.3; without it only this check is weaker
    "os.execv(sys.argv[1], sys.argv[1:])\n"
)


def directives(section: str = "Service") -> dict[str, list[str]]:
    """What the unit says, in order; a key may stand more than once."""
    found: dict[str, list[str]] = {}
    inside = ""
    for line in UNIT.read_text().splitlines():
        if line.startswith("["):
            inside = line.strip("[]")
        elif "=" in line and not line.startswith("#") and inside == section:
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def confined(command: list[str], *, writable: Path, user: int = NOBODY) -> list[str]:
    """The command with what of the sandbox can be had here.

    As root: another user, everything but ``writable`` read-only (ProtectSystem=strict), no
    capability to change anything. It may read what root may, since the interpreter may lie in a
    home that is closed. For everybody: no new privileges, no memory that is written and executed.
    """
    denied = [sys.executable, "-c", _DENY, *command]
    if os.geteuid() != 0:
        return denied
    mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind / && exec "$@"'
    drop = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    drop += ["--bounding-set=-all,+dac_read_search", "--inh-caps=-all,+dac_read_search"]
    drop += ["--ambient-caps=+dac_read_search", "--no-new-privs"]
    return ["unshare", "--mount", "sh", "-c", mount, str(writable), *drop, *denied]


def let_others_through(folder: Path) -> None:
    """Let other users pass through a test's folder and those around it, which pytest closes."""
    around = Path(tempfile.gettempdir())
    for one in (folder, *folder.parents):
        if not one.is_relative_to(around) or one == around:
            return
        one.chmod(one.stat().st_mode | 0o011)
