"""``restate-medic policy test``: policies against tests of what must and must not happen."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from exporter.cli.output import Exit, err, fail, friendly, lay_out, out
from exporter.model.redact import redact_text
from exporter.simulate.judge import judge
from exporter.simulate.junit import Verdict, junit, told
from exporter.simulate.load import read_tests
from exporter.simulate.run import play

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
    to: Annotated[
        Path | None,
        typer.Option(
            "--junit", help="Write JUnit XML there, too.", metavar="FILE", show_default=False
        ),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Name the tests that pass, too.")
    ] = False,
) -> None:
    """Play what tests describe, through simulated time, and compare what policies do with it.

    The daemon's own deciding, gates and limits; no Restate, no configuration is needed. Exit 0 when
    all pass, 1 when one fails, 2 when a file is wrong.
    """
    verdicts: list[Verdict] = []
    problems: list[str] = []
    for path in _found(files or [_FOLDER]):
        read = read_tests(path, str(path))
        problems += read.problems
        for scenario in read.scenarios:
            began = time.perf_counter()
            differences = judge(scenario, play(scenario))
            verdicts.append(Verdict(scenario, differences, time.perf_counter() - began))
            _show(verdicts[-1], verbose=verbose)
    for problem in problems:
        err.print(problem, markup=False)
    if to is not None:
        _write(to, junit(verdicts, problems))
    failed = sum(bool(one.differences) for one in verdicts)
    out.print(f"{len(verdicts) - failed} passed, {failed} failed")
    if problems:
        raise typer.Exit(int(Exit.USAGE))
    raise typer.Exit(int(Exit.UNHEALTHY if failed else Exit.FINE))


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


def _show(verdict: Verdict, *, verbose: bool) -> None:
    if not verdict.differences:
        if verbose:
            lay_out(f"[green]pass[/]  {escape(verdict.scenario.name)}")
        return
    lay_out(f"[red]FAIL[/]  {escape(verdict.scenario.name)}")
    out.print(f"      {verdict.scenario.place}", markup=False, soft_wrap=True, style="dim")
    for difference in verdict.differences:
        text = redact_text(told(difference))
        inset = "\n".join(f"      {line}" for line in text.splitlines())
        out.print(inset, markup=False, soft_wrap=True)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"--junit {path}: {error.strerror or error}", Exit.USAGE)
