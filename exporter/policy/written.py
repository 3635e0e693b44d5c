"""A policy file as it was written, and the problems found in it so far, each with its place."""

from __future__ import annotations

from exporter.model.redact import redact_text
from exporter.policy.complaints import where
from exporter.policy.document import Document, Mark, Path, Problem

MAX_PROBLEMS = 100
"""In one file; what lies beyond is counted."""


def line(file: str, problem: Problem) -> str:
    """One line for a person: place, path, what is wrong and the mend; free of secrets."""
    path = where(problem.path)
    about = f"{path}: " if path else ""
    place = f"{file}:{problem.mark.line}:{problem.mark.column}"
    return f"{place}: {redact_text(about + ' '.join(problem.message.split()))}"


class Written:
    """One document under its file's name. ``problems`` begins with what reading it found."""

    def __init__(self, document: Document, file: str) -> None:
        self.document = document
        self.file = file
        self.problems = list(document.problems)

    def add(self, path: Path, message: str, *, mark: Mark | None = None) -> None:
        """Note a problem of the value at this path."""
        self.problems.append(Problem(mark or self.document.mark(path), path, message))

    def add_key(self, path: Path, message: str) -> None:
        """Note a problem of the key at this path."""
        self.add(path, message, mark=self.document.key_mark(path))

    def place(self, path: Path) -> str:
        """``file:line:column`` of the value at this path."""
        mark = self.document.mark(path)
        return f"{self.file}:{mark.line}:{mark.column}"

    def lines(self) -> list[str]:
        """The problems in the order of the file, one line each."""
        problems = sorted(set(self.problems))
        lines = [line(self.file, problem) for problem in problems[:MAX_PROBLEMS]]
        if rest := problems[MAX_PROBLEMS:]:
            more = Problem(rest[0].mark, (), f"{len(rest)} more problems from here on")
            lines.append(line(self.file, more))
        return lines
