"""Becomes another program that dies when its parent dies, even by SIGKILL.

Run as a script: `guard.py PARENT_PID SIGNAL PROGRAM ARGUMENT...`. It imports nothing but the
standard library and takes the program's place by exec, so the process id stays the same and no
extra process is left behind. Starting, watching and stopping are left to `lab.process`.
"""

from __future__ import annotations

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Ask the kernel for a signal when the parent dies, then exec the program."""
    parent, death_signal = int(arguments[0]), int(arguments[1])
    program = arguments[2:]
    if sys.platform == "linux":
        # Kept across exec. Other systems have no such call: there a SIGKILL of the parent leaves
        # the child running, everything else works.
        if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
        if os.getppid() != parent:  # it died before the call above: nobody will send the signal
            sys.exit(1)
    os.execvp(program[0], program)  # noqa: S606 - taking the program's place is the purpose


if __name__ == "__main__":
    main(sys.argv[1:])
