"""Waits for a condition instead of for a number of seconds.

The only place of the lab that sleeps; what is waited for is left to the caller.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T],
    *,
    what: str,
    timeout_seconds: float = 15.0,
    poll_seconds: float = 0.02,
) -> T:
    """Call `condition` until it returns something true, and return that.

    Raises TimeoutError, which names `what` was waited for and the last answer, after
    `timeout_seconds`. An exception of `condition` is not caught: turn an expected one into False.
    """
    deadline = time.monotonic() + timeout_seconds
    while not (answer := condition()):
        if time.monotonic() >= deadline:
            message = f"waited {timeout_seconds:g} s for {what}; last answer: {answer!r}"
            raise TimeoutError(message)
        time.sleep(poll_seconds)
    return answer
