"""``restate-medic policy test``: policies against tests of what must and must not happen."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import Progress

from exporter.cli.output import Exit, err, fail, friendly, out
from exporter.model.redact import redact_text
from exporter.simulate.judge import judge
from exporter.simulate.junit import Verdict, junit, plain, told
from exporter.simulate.load import read_tests
from exporter.simulate.run import play
from exporter.simulate.scenario import Scenario
from exporter.simulate.timeline import timeline

_FOLDER = Path("policies/tests")
_SUFFIXES = frozenset({".yaml", ".yml"})


@friendly
def run_tests(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE",
            help="Files of tests, or folders of them; policies/tests by default.",
            show_default=False,
        ),
    ] = None,
    *,
    only: Annotated[
        str,
        typer.Option(
            "--only",
            help="Play only tests whose name contains this.",
            metavar="TEXT",
            show_default=False,
        ),
    ] = "",
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="Tell what happened in each test, in those that pass too."
        ),
    ] = False,
    to: Annotated[
        Path | None,
        typer.Option(
            "--junit", help="Write JUnit XML there, too.", metavar="FILE", show_default=False
        ),
    ] = None,
) -> None:
    """Play what tests describe, through simulated time, and compare what policies do with it.

    The daemon's own deciding, gates and limits; no Restate, no configuration is needed. Exit 0 when
    all pass, 1 when one fails, 2 when a file is wrong.
    """
    read = [read_tests(path, str(path)) for path in _found(files or [_FOLDER])]
    problems = [problem for one in read for problem in one.problems]
    scenarios = [one for tests in read for one in tests.scenarios if only in one.name]
    if only and not scenarios and not problems:
        fail(f"--only {only}: no test has this in its name; -v names all", Exit.USAGE)
    verdicts, told = [], []
    for scenario in _counted(scenarios):
        began = time.perf_counter()
        played = play(scenario)
        differences = judge(scenario, played)
        verdicts.append(Verdict(scenario, differences, time.perf_counter() - began))
        told.append(timeline(played) if verbose else ())
    for verdict, lines in zip(verdicts, told, strict=True):
        _show(verdict, lines, verbose=verbose)
    for problem in problems:
        err.print(plain(problem), markup=False)
    if to is not None:
        _write(to, junit(verdicts, problems))
    failed = sum(bool(one.differences) for one in verdicts)
    wrong = f"; wrong: {sum(bool(one.problems) for one in read)} of the files" if problems else ""
    out.print(f"{len(verdicts) - failed} passed, {failed} failed{wrong}")
    if problems:
        raise typer.Exit(int(Exit.USAGE))
    raise typer.Exit(int(Exit.UNHEALTHY if failed else Exit.FINE))


def _counted(scenarios: list[Scenario]) -> Iterator[Scenario]:
    """Each, with a bar on stderr where that is a terminal."""
    bar = Progress(console=err, transient=True, disable=not err.is_terminal)
    with bar as progress:
        yield from progress.track(scenarios, description="playing")


def _found(paths: list[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            fail(f"{path}: is not there; write the path of a file of tests", Exit.USAGE)
        inside = path.iterdir() if path.is_dir() else ()
        files += sorted(one for one in inside if one.suffix in _SUFFIXES) or [path]
    if empty := [path for path in files if path.is_dir()]:
        fail(f"{empty[0]}: has no files of tests; write some, in YAML", Exit.USAGE)
    return files


def _show(verdict: Verdict, lines: tuple[str, ...], *, verbose: bool) -> None:
    if not verdict.differences and not verbose:
        return
    word = "[red]FAIL[/]" if verdict.differences else "[green]pass[/]"
    out.print(f"{word}  {escape(plain(verdict.scenario.name))}", soft_wrap=True)
    place = verdict.scenario.place
    for text in (place, *lines) if verbose else (place,):
        _inset(text, style="dim")
    for difference in verdict.differences:
        for text in told(difference).splitlines():
            _inset(text)


def _inset(text: str, *, style: str | None = None) -> None:
    shown = plain(redact_text(text))
    out.print(f"      {shown}", markup=False, soft_wrap=True, style=style)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"--junit {path}: {error.strerror or error}", Exit.USAGE)
