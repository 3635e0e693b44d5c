"""The report as a message: as much as fits one, the most urgent first."""

from __future__ import annotations

from exporter.model.message import Message
from exporter.report.sections import Line, lead, sections
from exporter.report.verdict import counted, waiting_count
from exporter.wire.report import ReportBody

_LONGEST = 2_300
"""Characters; a notifier cuts what is longer than 2,500 wherever that is."""
_LINE = 300
_MOST = 8
"""Lines of a section."""


def to_message(body: ReportBody) -> Message:
    """Whole lines only; what is left out is said, with the command that has it."""
    lines = [_plain(line) for line in lead(body)]
    left_out = 0
    for section in sections(body):
        told = [f"{section.title}:", *(f"- {_plain(line)}" for line in section.lines[:_MOST])]
        hidden = len(section.lines) - _MOST + section.more
        if len("\n".join([*lines, *told])) > _LONGEST:
            left_out += len(section.lines) + section.more
            continue
        lines += told
        left_out += max(0, hidden)
    if left_out:
        lines.append(f"and {counted(left_out, 'line')} more: restate-medic audit report")
    facts = {
        "targets": str(len(body.targets)),
        "to look at": str(len(body.attention)),
        "waiting for a person": str(waiting_count(body)),
        "done": str(len(body.done)),
    }
    title = f"{body.verdict[:1].upper()}{body.verdict[1:]}"
    return Message(kind="report", title=title, text="\n".join(lines), facts=facts)


def _plain(line: Line) -> str:
    told = "".join(part if isinstance(part, str) else part.text for part in line)
    told = " ".join(told.split())
    return told if len(told) <= _LINE else f"{told[: _LINE - 1]}…"
