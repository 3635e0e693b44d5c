"""The report as Markdown. Nothing that came from elsewhere is markup in it."""

from __future__ import annotations

import re

from exporter.model.visible import visible_text
from exporter.report.sections import Line, Quoted, lead, sections
from exporter.wire.report import ReportBody

_BLANKS = re.compile(r"\s+")
_MARKS = re.compile(r"([\\`*\[\]~$]|(?<!\w)_|_(?!\w))")
"""What is markup within a line; an underscore within a word is none."""
_TICKS = re.compile(r"`+")


def to_markdown(body: ReportBody) -> str:
    """CommonMark that reads well as it is, too. Ends with a line's end."""
    lines = ["# restate-medic", "", f"**{_capital(escaped(body.verdict))}.**", ""]
    lines += [_line(line) for line in lead(body)]
    for section in sections(body):
        lines += ["", f"## {section.title}", ""]
        lines += [f"- {_line(line)}" for line in section.lines]
        if section.more:
            lines.append(f"- and {section.more} more, which `--format json` has")
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Text of others on one line, in which nothing is markup, neither Markdown's nor HTML's."""
    text = _one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKS.sub(r"\\\1", text)


def code(text: str) -> str:
    """A name as code, whatever is in it."""
    text = _one_line(text) or " "
    longest = max((len(found) for found in _TICKS.findall(text)), default=0)
    fence = "`" * (longest + 1)
    blank = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{blank}{text}{blank}{fence}"


def _line(line: Line) -> str:
    return "".join(_part(part) for part in line)


def _part(part: str | Quoted) -> str:
    if isinstance(part, str):
        return part
    return code(part.text) if part.name else escaped(part.text)


def _one_line(text: str) -> str:
    return visible_text(_BLANKS.sub(" ", text).strip())


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
