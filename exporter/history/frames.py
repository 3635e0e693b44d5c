"""What history is made of: each round of a target, and what is the same for all targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from exporter.model.decision import Mode, Subject, Waiting
from exporter.model.identity import Identity
from exporter.model.operation import Window
from exporter.model.report import Reading, Report
from exporter.model.target import Target
from exporter.policy.alarms import Alarms
from exporter.policy.clock import Suspicion
from exporter.policy.world import OpenOperation, Refusal

Noting = Literal["", "busy", "failed"]
"""Whether a round notes its decisions in the ledger. ``busy``: no, as an earlier one still does.
``failed``: yes, and what the one before it wanted to note was not written."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is configured, as far as decisions rest on it."""

    policies: tuple[str, ...]
    """Each as it is written, as JSON text (``Policy.text``), in their order."""
    limits: tuple[Window, ...]
    """Those over everything."""
    max_mode: Mode
    targets: tuple[Target, ...]
    """Every one."""


@dataclass(frozen=True, slots=True)
class Backdrop:
    """What every round of a process rests on, until it changes."""

    setting: Setting
    alarms: Alarms | None
    boot_offset: timedelta
    """By how much the wall clock is ahead of the clock that nobody sets."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a round knew beside its readings, as far as the ledger does not tell it."""

    seq: int
    """The newest entry of the ledger that was taken in."""
    ledger_ok: bool
    open_operations: Mapping[str, OpenOperation] = field(default_factory=dict)
    refusals: Mapping[Subject, Refusal] = field(default_factory=dict)
    """Of this target."""
    noting: Noting = ""


@dataclass(frozen=True, slots=True)
class Frame:
    """One round of one target, at the moment of its decisions."""

    at: datetime
    tick: int
    """Its place among all frames and changes of the run: the clock may have been set back."""
    readings: tuple[Reading, ...]
    """Those that are new since the frame before."""
    circumstances: Circumstances


@dataclass(frozen=True, slots=True)
class Memory:
    """What a process remembers of all targets together when its rounds begin to be recorded."""

    affected: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By policy, the targets on which it was not clear."""
    good_until: Mapping[str, datetime] = field(default_factory=dict)
    """By target, until when its last round counts as late news."""
    identities: Mapping[str, Identity] = field(default_factory=dict)
    """By target, what it was last seen to be."""
    changed: Mapping[str, str] = field(default_factory=dict)
    """By target, why it may be another Restate."""
    clock: Suspicion | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """The backdrop from a moment on, and the targets that are others from then on."""

    at: datetime
    tick: int
    backdrop: Backdrop
    forgotten: tuple[str, ...] = ()
    memory: Memory | None = None
    """Where rounds begin to be recorded, at the start of a run and after a gap."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What was remembered of a target when a block of its frames began."""

    report: Report
    """Before the first frame."""
    waiting: Mapping[Subject, Waiting] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TargetBlock:
    """Consecutive rounds of one target in one process. Nothing before it is needed to read it."""

    target: str
    boot: str
    """Which run of the daemon: what is kept in memory does not outlive it."""
    opening: Opening
    frames: tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class ProcessBlock:
    """Consecutive changes of what is the same for all targets; the first is the state then."""

    boot: str
    changes: tuple[Change, ...]


Block = TargetBlock | ProcessBlock
