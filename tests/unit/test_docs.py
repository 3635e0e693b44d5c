"""README and docs: what they lead to is there, what they tell people to type can be typed."""

from __future__ import annotations

import re
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from tests.documents import DOCS, ROOT, links, own_commands, pages, parse

INDEX = DOCS / "README.md"
PAGES = [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages()]
TEXTS = [*PAGES, pytest.param(ROOT / "CHANGELOG.md", id="CHANGELOG.md")]


def anchors(page: Path) -> set[str]:
    """What a link to a part of the page may name, as renderers of Markdown make it."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


@pytest.mark.parametrize("page", TEXTS)
def test_every_link_leads_somewhere(page: Path) -> None:
    """To a file of this repository, and to a heading that it has."""
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES)
def test_every_command_can_be_typed(page: Path) -> None:
    """Each `restate-medic …`, in blocks and within lines, has options and arguments that exist."""
    for arguments in own_commands(page.read_text()):
        if "…" not in arguments:
            parse(arguments)


@pytest.mark.parametrize("page", TEXTS)
def test_nothing_is_left_of_a_merge(page: Path) -> None:
    """No line that git writes where two changes meet."""
    assert re.findall(r"^(?:<{7} .*|={7}|>{7} .*)$", page.read_text(), re.MULTILINE) == []


def test_the_index_leads_to_every_page() -> None:
    """What is written is found: each page beside the index and each index below it."""
    reached = {(DOCS / link).resolve() for link in links(INDEX)}
    wanted = {page for page in DOCS.glob("*.md") if page != INDEX} | set(DOCS.glob("*/README.md"))
    assert wanted - reached == set()
    assert "docs/README.md" in links(ROOT / "README.md")


def test_the_architecture_names_every_part() -> None:
    """Each package and module at the top of the program, and none that is not there, in the order
    of the layers that import-linter checks."""
    table = (DOCS / "architecture.md").read_text().partition("| in `exporter/`")[2]
    cells = [line.split("|")[1] for line in table.splitlines()[2:] if line.startswith("| `")]
    rows = [re.findall(r"`([\w.]+)`", cell) for cell in cells]
    there = {path.name for path in (ROOT / "exporter").iterdir() if _is_part(path)}
    assert {name for row in rows for name in row} == there
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    order = [set(re.split(r" \| ", layer)) for layer in layers]
    place = {name: number for number, layer in enumerate(order) for name in layer}
    numbers = [{place[name.removesuffix(".py")] for name in row} for row in rows]
    assert all(max(above) < min(below) for above, below in pairwise(numbers))


def _is_part(path: Path) -> bool:
    if path.is_dir():
        return (path / "__init__.py").exists()
    return path.suffix == ".py" and path.name != "__init__.py"


def test_what_contributors_are_told_to_change_is_there() -> None:
    """Files and names that the page mentions exist."""
    text = (DOCS / "contributing.md").read_text()
    named = re.findall(r"`([a-z_]+/[a-z_/]*(?:\.py)?)`", text)
    assert len(named) > 12
    assert [
        n for n in named if not (ROOT / n).exists() and not (ROOT / "exporter" / n).exists()
    ] == []
