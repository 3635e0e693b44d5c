"""One child process: in a session of its own, logging to a file, never outliving us.

What runs in it and how to see that it is ready is left to the caller.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

_GUARD = Path(__file__).with_name("guard.py")
_TAIL_BYTES = 4_000


class Child:
    """A running child process; it runs from construction on.

    It leads its own session, so Ctrl-C in a terminal does not reach it: we choose the order in
    which things stop. When this process dies, however that comes, the child gets `death_signal`.
    Without a `log` it shares our standard output and error.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | None = None,
        log: Path | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        if threading.current_thread() is not threading.main_thread():
            message = (
                "start children from the main thread: the kernel ties them to the thread that "
                "started them and would kill them when it ends"
            )
            raise RuntimeError(message)
        self._log = log
        self._swept = False
        guarded = [sys.executable, "-I", "-S", str(_GUARD), str(os.getpid())]
        guarded += [str(int(death_signal)), *command]
        with contextlib.ExitStack() as stack:
            output = stack.enter_context(log.open("ab")) if log else None
            self._process = subprocess.Popen(
                guarded,
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id; it is also the id of its process group."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; a negative signal number when a signal ended it."""
        return self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the child and everything it started; nothing if it is gone."""
        if self._swept:  # by now the id may belong to somebody else
            return
        # macOS answers EPERM where Linux says that there is no such group.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def wait(self, timeout_seconds: float | None = None) -> int:
        """Wait for the end and return the exit code; subprocess.TimeoutExpired if it runs on."""
        return self._process.wait(timeout_seconds)

    def stop(self, *, patience_seconds: float = 10.0) -> int:
        """Ask it to end, insist after `patience_seconds`, and return the exit code."""
        self.signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(patience_seconds)
        return self.kill()

    def kill(self) -> int:
        """End it and everything it started at once, and return the exit code."""
        self.signal(signal.SIGKILL)
        exit_code = self.wait()
        self._swept = True
        return exit_code

    def log_tail(self) -> str:
        """Return the last lines it wrote, for an error message."""
        if self._log is None or not self._log.exists():
            return "(no log)"
        return self._log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace")


def clean_environment(**extra: str) -> dict[str, str]:
    """Return our environment without what would change how a lab process behaves, plus `extra`.

    `RESTATE_*` would reconfigure the server, a proxy would stand between parts on loopback.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("RESTATE_") and not name.lower().endswith("_proxy")
    }
    return kept | extra
