"""`make demo`: the whole story is seen, told and cleared away, however it ends."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
from rich.console import Console

from lab import is_listening, wait_until
from stage.timeline import Timeline

STORY = Path(__file__).parents[2] / "deploy" / "demo" / "story.py"
# One plays for a minute and a half where nothing else runs.
PATIENCE_SECONDS = 400
MARK = "MEDIC_DEMO_TEST"
STEPS = (
    r"you +Place an order.*POST /Orders/place: 200",
    r"you +Ask how Restate is.*`restate-medic doctor --json`: exit 0; ok: ingress, admin",
    r"restate-medic +Sees the same.*restate_medic_up\{target=\"shop\"\} 1",
    r"you +Roll the worker: Invoices is new.*a dry run of the worker lists Invoices",
    r"Restate +Refuses .*POST /Invoices/create: 404 \"service 'Invoices' not found",
    r"restate-medic +Sees what is missing.*worker_drift\{change=\"added\"",
    r"restate-medic +Waits until it is sure.*pending, true for",
    r"restate-medic +Registers the worker again.*POST /Invoices/create: 200",
    r"restate-medic +Has read .*audit list --json`: force-redeploy by policy:.*, verified",
    r"you +Ann signs up.*suspended, pinned to dp_",
    r"you +Roll out to a new URL.*GET /deployments: dp_\w+…, dp_\w+…$",
    r"you +Move `service_url`.*POST /-/reload: 200",
    r"Restate +Sends new calls to the new one.*Signup/ann is suspended",
    r"restate-medic +Sees the old one draining.*state=\"draining\"",
    r"restate-medic +Lets it drain: \d+ more looks.*GET /deployments: dp_\w+…, dp_\w+…$",
    r"you +Ann clicks the link.*Signup/ann is completed",
    r"restate-medic +Deletes the old one.*GET /deployments: dp_\w+…$",
    r"restate-medic +Has read .*: cleanup-stale-deployments by policy:.*, verified",
    r"you +Switch the old worker off.*POST /Invoices/create: 200",
    r"you +Roll a worker that has lost Orders",
    r"restate-medic +Refuses .*preflight_refused, drop-service: .* no longer offers Orders",
    r"you +Insist.*exit 1: refused \(drop-service\)",
    r"Restate +Was not changed",
    r"you +Roll back.*POST /Orders/place: 200",
    r"you +Bob's signup fails for good",
    r"Restate +Answers his next try.*POST /Signup/bob/run: 409",
    r"restate-medic +Purges the failed run.*POST /Signup/bob/run: 200",
    r"restate-medic +Has read .*recover-stuck-workflow by policy:.*, verified",
    r"you +The worker is down.*paused",
    r"restate-medic +Resumes it.*completed",
    r"restate-medic +Has read .*resume-invocations by policy:.*, verified",
    r"you +A parcel crashes.*paused",
    r"restate-medic +Tries it twice.*outcome=\"failed\".*\} 2",
    r"restate-medic +Stops.*breaker_open.*restate-medic breaker reset shop resume-invocations",
    r"you +A bad release",
    r"restate-medic +Holds: .*storm, 25 items are affected",
    r"Restate +Was not touched, .*all 25 are there",
    r"you +Roll out again; then the old machine dies",
    r"restate-medic +Plans to kill.*awaiting_approval.*restate-medic approve op_",
    r"you +Read the list, and say yes.*exit 0; admin: GET /deployments: dp_\w+…$",
    r"you +Roll the worker, and again.*POST /Refunds/pay: 404",
    r"restate-medic +Holds, and says why: cooldown.*the cooldown of 10m ends at",
    r"restate-medic +Says so .*policy_held_since_timestamp_seconds\{.*reason=\"cooldown\"",
    r"Restate +Was not touched.*POST /Refunds/pay: 404",
    r"you +Do not wait.*redeploy --yes.*exit 0; ingress: POST /Refunds/pay: 200",
    r"you +Ask what was done.*9 operations",
    r"verified +register http",
    r"verified +keep http",
    r"failed +inv_",
    r"failed +inv_",
    r"verified +resume 1 invocation",
    r"verified +recover Signup/bob",
    r"refused +drop-service: http",
    r"verified +keep http",
    r"verified +register http",
    r"healed +Invoices: 404 for [\d.]+ s",
    r"took +\d+ s",
)


class Story:
    """The script in a process group of its own, as a terminal would have it, piped to us."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.process = subprocess.Popen(
            [sys.executable, str(STORY)],
            # All that it starts inherits the mark, which is how we find it again.
            env={**os.environ, "TMPDIR": str(folder), MARK: str(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, text: str) -> None:
        wait_until(
            lambda: text in self.output or self.process.poll() is not None,
            what=f"{text!r} in the story",
            timeout_seconds=PATIENCE_SECONDS,
        )
        assert text in self.output, self.output

    def end(self) -> int:
        exit_code = self.process.wait(PATIENCE_SECONDS)
        self._reader.join()
        return exit_code

    def started(self) -> dict[int, str]:
        """What runs of all that the story started: process id to command line."""
        mark = f"{MARK}={self._folder}".encode()
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (process / "environ").read_bytes().split(b"\0"):
                    command = (process / "cmdline").read_bytes().replace(b"\0", b" ")
                    found[int(process.name)] = command.decode()
            except OSError:  # gone, or not ours to read
                continue
        return found

    def assert_nothing_is_left(self) -> None:
        assert self.started() == {}
        assert list(self._folder.iterdir()) == []
        ports = {int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", self.output)}
        assert [port for port in ports if is_listening(port)] == []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.end()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(line.rstrip("\n") for line in self.process.stdout)


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    with Story(tmp_path) as running:
        yield running


@pytest.mark.timeout(PATIENCE_SECONDS + 60)
def test_every_step_is_seen_and_told_in_order(story: Story) -> None:
    """Exit 0, one line for each step with what was seen, and nothing runs or lies around after."""
    assert story.end() == 0, story.output
    lines = iter(story.lines)
    for step in STEPS:
        told = any(re.search(step, line) for line in lines)
        assert told, f"no line, in its place, has {step!r}:\n{story.output}"
    story.assert_nothing_is_left()


@pytest.mark.timeout(PATIENCE_SECONDS + 60)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_of_it(number: signal.Signals, story: Story) -> None:
    """Ctrl-C or SIGTERM in the middle leaves nothing behind, and no traceback."""
    story.wait_for("Refuses the first customer")
    os.killpg(story.process.pid, number)
    assert story.end() == 128 + number
    assert "Stopped." in story.output
    assert "Traceback" not in story.output
    story.assert_nothing_is_left()


@pytest.mark.skipif(sys.platform != "linux", reason="finds the daemon in /proc")
@pytest.mark.timeout(PATIENCE_SECONDS + 60)
def test_what_is_not_seen_fails_and_says_what_was_expected(story: Story) -> None:
    """A daemon that dies cannot heal: exit 1, what was expected, what was seen, the log's end."""
    story.wait_for("Refuses the first customer")
    [daemon] = [pid for pid, command in story.started().items() if " -m exporter run " in command]
    os.kill(daemon, signal.SIGKILL)
    assert story.end() == 1
    assert re.search(r"expected to see: .*\nsaw: restate-medic ended with -9", story.output)
    assert "web.listening" in story.output
    assert "Traceback" not in story.output
    story.assert_nothing_is_left()


def told(width: int) -> list[str]:
    """One event as a terminal of that width shows it, without colours."""
    screen = io.StringIO()
    console = Console(file=screen, width=width, force_terminal=True, no_color=True)
    line = f'restate_medic_held{{policy="{"p" * 90}"}} 1.0'
    Timeline(console, clock=lambda: 0.0).event("restate-medic", "Holds. " * 12, seen=line)
    text = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue())
    assert "…" not in text
    return text.splitlines()


@pytest.mark.parametrize("width", [80, 100])
def test_evidence_stands_below_where_there_is_little_room(width: int) -> None:
    """Everything fits into the width, nothing is cut, and evidence begins a line of its own."""
    lines = told(width)
    assert max(map(len, lines)) <= width
    assert any(line.lstrip().startswith("↳ restate_medic_held") for line in lines)


def test_evidence_stands_beside_where_there_is_room() -> None:
    """On a wide terminal what happened and how it was seen are read in one line."""
    lines = told(160)
    assert "Holds." in lines[0]
    assert "↳ restate_medic_held" in lines[0]
