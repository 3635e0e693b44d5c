"""The policies that come with the program and their tests, as files to be copied and changed."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_INSTALLED = _PACKAGE / "shipped"
"""Where a wheel has them (``force-include`` in pyproject.toml)."""
_CHECKOUT = _PACKAGE.parent / "policies"
_PATTERNS = ("*.yaml", "*.schema.json", "tests/*.yaml")


def shipped_files() -> tuple[Path, ...]:
    """The policies, the JSON Schemas that their first lines name, and their tests.

    Sorted paths, as they are to stand below any folder.
    """
    folder = _folder()
    found = (path for pattern in _PATTERNS for path in folder.glob(pattern))
    return tuple(sorted(path.relative_to(folder) for path in found))


def copy_shipped(folder: Path) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Copy them into ``folder``, which is made. Returns what was written and what was there.

    A file that is there already stays as it is. OSError when the folder cannot be written.
    """
    written, kept = [], []
    for name in shipped_files():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write((_folder() / name).read_text(encoding="utf-8"))
        except FileExistsError:
            kept.append(path)
        else:
            written.append(path)
    return tuple(written), tuple(kept)


def _folder() -> Path:
    return _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT
