"""Prints what happens as it happens: when, who, what, and how it was seen from outside.

On a terminal in colour, the evidence below or, where there is room, beside what happened; else one
plain line for each event, for logs and `grep`. What is true is not decided here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from rich.console import Console
from rich.highlighter import RegexHighlighter
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

Who = Literal["you", "Restate", "restate-medic"]

_COLOURS: dict[Who, str] = {"you": "cyan", "Restate": "magenta", "restate-medic": "green"}
_TIME, _WHO, _GAP = 7, max(map(len, _COLOURS)), 2
_INDENT = _TIME + _GAP
_WHAT = 56
_WIDE = 130
_WIDEST = 190
_THEME = Theme(
    {
        "word.good": "not dim bold green",
        "word.bad": "not dim bold red",
        "word.held": "not dim bold yellow",
        "word.command": "not dim",
    }
)


class _Words(RegexHighlighter):
    """Colours the few words a reader looks for."""

    base_style = "word."
    highlights = (
        r"(?P<good>\b(200|201|202|verified|reloaded|ok)\b)",
        r"(?P<bad>\b(404|500|exit 1|was not seen)\b)",
        r"(?P<held>\b(pending|cooldown|refused|preflight_refused|drop-service)\b)",
        r"(?P<command>`[^`]+`)",
    )


class Timeline:
    """The story as a person reads it. ``clock`` counts seconds from any beginning."""

    def __init__(
        self, console: Console | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console or Console(highlight=False)
        self._console.push_theme(_THEME)
        self._clock = clock
        self._began = clock()
        self._words = _Words()
        self._chapters = 0

    @property
    def elapsed_seconds(self) -> float:
        """Seconds since the story began."""
        return self._clock() - self._began

    @property
    def is_terminal(self) -> bool:
        """Whether a person looks on, and not a file."""
        return self._console.is_terminal

    @property
    def columns(self) -> int:
        """How wide a line may be."""
        return min(self._console.width, _WIDEST)

    def chapter(self, title: str) -> None:
        """Begin the next part."""
        self._chapters += 1
        heading = f"{self._chapters}. {title}"
        self._console.print()
        if self.is_terminal:
            rule = Rule(Text(heading, "bold"), align="left", style="dim")
            self._console.print(rule, width=self.columns)
        else:
            self._line(f"== {heading}")

    def event(self, who: Who, what: str, *, seen: str) -> float:
        """Tell one event and how it was seen from outside; returns the seconds it happened at."""
        at = self.elapsed_seconds
        when = f"{at:{_TIME - 2}.1f}s "
        if not self.is_terminal:
            self._line(f"{when}  {who:{_WHO}}  {what}  | {seen}")
        elif self.columns >= _WIDE:
            self._beside(when, who, what, seen)
        else:
            self._below(when, who, what, seen)
        return at

    def say(self, text: str = "") -> None:
        """Print something that is not an event."""
        if self.is_terminal:
            self._console.print(self._words(text), width=self.columns)
        else:
            self._line(text)

    def output(self, text: str) -> None:
        """Show what a command printed, as it printed it, colours included."""
        self.say()
        for line in text.splitlines():
            if self.is_terminal:
                self._console.print(Text.from_ansi(line), soft_wrap=True)
            else:
                self._line(line.rstrip())
        self.say()

    def row(self, name: str, text: str) -> None:
        """Print one row of the summary."""
        if not self.is_terminal:
            self._line(f"{name:<{_INDENT}}  {text}")
            return
        grid = Table.grid(padding=(0, _GAP))
        grid.add_column(width=_INDENT, style="bold")
        grid.add_column()
        grid.add_row(name, self._words(text))
        self._console.print(grid, width=self.columns)

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Show on a terminal what takes a while."""
        if not self.is_terminal:
            yield
            return
        with self._console.status(Text(what, "dim", no_wrap=True, overflow="crop")):
            yield

    def _below(self, when: str, who: Who, what: str, seen: str) -> None:
        grid = self._grid()
        grid.add_column()
        grid.add_row(when, self._name(who), self._words(what))
        self._console.print(grid, width=self.columns)
        evidence = Padding(self._evidence(seen), (0, 0, 0, _INDENT))
        self._console.print(evidence, width=self.columns)

    def _beside(self, when: str, who: Who, what: str, seen: str) -> None:
        grid = self._grid()
        grid.expand = True
        grid.add_column(width=_WHAT)
        grid.add_column(ratio=1)
        grid.add_row(when, self._name(who), self._words(what), self._evidence(seen))
        self._console.print(grid, width=self.columns)

    def _grid(self) -> Table:
        grid = Table.grid(padding=(0, _GAP, 0, 0))
        grid.add_column(width=_TIME, style="dim")
        grid.add_column(width=_WHO)
        return grid

    def _evidence(self, seen: str) -> Table:
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_column(style="dim")
        grid.add_column(style="dim", overflow="fold")
        grid.add_row("↳", self._words(seen))
        return grid

    def _name(self, who: Who) -> Text:
        return Text(who, f"bold {_COLOURS[who]}")

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)
