"""The policies that come with the program, as files to be copied and changed."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_INSTALLED = _PACKAGE / "shipped"
"""Where a wheel has them (``force-include`` in pyproject.toml)."""
_CHECKOUT = _PACKAGE.parent / "policies"


def shipped_files() -> tuple[Path, ...]:
    """The shipped policies and the JSON Schema that their first lines name, sorted by name."""
    folder = _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT
    return tuple(sorted([*folder.glob("*.yaml"), folder / "policy.schema.json"]))


def copy_shipped(folder: Path) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Copy them into ``folder``, which is made. Returns what was written and what was there.

    A file that is there already stays as it is. OSError when the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written, kept = [], []
    for source in shipped_files():
        path = folder / source.name
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(source.read_text(encoding="utf-8"))
        except FileExistsError:
            kept.append(path)
        else:
            written.append(path)
    return tuple(written), tuple(kept)
