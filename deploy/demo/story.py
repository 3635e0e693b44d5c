"""`make demo`: failures and their repair, played on a real Restate and told as they happen.

Nothing has to run before, and nothing runs after, whether the story ends well, badly or by
Ctrl-C. Exit 0 only when every step was seen from outside; 1 says which was not, with the end of
the daemon's log.

What happens is in `stage.chapters` and `stage.night`.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import NoReturn

import httpx

from stage import chapters, night
from stage.scene import NotSeenError, Scene, open_scene
from stage.timeline import Timeline

_FAILURE = 1
_BROKEN = (OSError, RuntimeError, httpx.HTTPError, subprocess.SubprocessError)
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequested(BaseException):
    """A signal asked us to stop: its number."""


def main() -> int:
    """Set the scene, play, and clear everything away again; returns the exit code."""
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # SIGHUP is, under nohup
            signal.signal(number, _raise_stop)
    timeline = Timeline()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="restate-medic-demo-") as folder,
            open_scene(timeline, Path(folder)) as scene,
        ):
            return _play(scene)
    except StopRequested as stop:
        timeline.say("Stopped. Nothing that was started runs on.")
        return 128 + int(stop.args[0])
    except _BROKEN as error:
        timeline.say(f"The scene could not be set: {error}")
        return _FAILURE


def _play(scene: Scene) -> int:
    try:
        _tell(scene)
    except NotSeenError as error:
        return _fail(scene, f"expected to see: {error.expected}\nsaw: {error.seen}")
    except _BROKEN as error:
        return _fail(scene, f"{type(error).__name__}: {error}")
    return 0


def _tell(scene: Scene) -> None:
    timeline = scene.timeline
    chapters.curtain(scene)
    timeline.chapter("All is well")
    chapters.all_is_well(scene)
    timeline.chapter("A worker is rolled, and nobody registers it")
    healed = chapters.nobody_registers(scene)
    timeline.chapter("A new worker replaces the old one, which still has work")
    outlived_seconds = chapters.one_replaces_the_other(scene)
    timeline.chapter("A worker that has lost a service")
    chapters.something_is_lost(scene)
    timeline.chapter("A workflow key is wedged")
    night.a_key_is_wedged(scene)
    timeline.chapter("Work that Restate has given up on")
    night.work_gave_up(scene)
    timeline.chapter("Work that no repair can help")
    night.nothing_helps(scene)
    timeline.chapter("Too much at once")
    night.too_much_at_once(scene)
    timeline.chapter("A machine that never comes back")
    night.a_machine_is_gone(scene)
    timeline.chapter("The first mistake again, within the cooldown")
    chapters.too_soon(scene)
    timeline.chapter("What the ledger says")
    chapters.what_the_ledger_says(scene)

    say = timeline.row
    say("healed", f"Invoices: 404 for {healed.broken_seconds:.1f} s, nobody at a keyboard")
    say("verified", f"{healed.proven_seconds:.1f} s after the first 404")
    say("cleaned", f"the old deployment, {outlived_seconds:.1f} s after its last work ended")
    say("freed", "Bob's key and a parcel, at night, within their windows")
    say("stopped", "by the breaker, after two tries that did not help")
    say("held", "25 failed keys as a storm; a second repair, within the cooldown")
    say("asked", "before work on a dead machine was killed")
    say("refused", "to drop Orders, by a policy and then by a person; nothing was changed")
    took = f"{timeline.elapsed_seconds:.0f} s"
    say("took", f"{took}; seen at the ingress, in the admin API and in the ledger")


def _fail(scene: Scene, what: str) -> int:
    say = scene.timeline.say
    say(f"\nThis step was not seen.\n{what}")
    lines = scene.medic.last_lines()
    say("\nThe end of the daemon's log:" if lines else "\nThe daemon has logged nothing yet.")
    for line in lines:
        say(line)
    return _FAILURE


def _raise_stop(number: int, _frame: FrameType | None) -> NoReturn:
    for other in _SIGNALS:  # a second one must not interrupt the clearing away
        signal.signal(other, signal.SIG_IGN)
    raise StopRequested(number)


if __name__ == "__main__":
    sys.exit(main())
