"""Reading the YAML files of the configuration, and finding the files that they name."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path

from exporter.model.errors import ConfigurationError
from exporter.model.redact import redact_text
from exporter.policy.document import Document, DocumentError, Mark, read_document

_SECRETS = (
    *("ingress_token", "admin_token", "api_key", "webhook", "token", "password"),
    "hmac_key",
)
_LISTS_OF_SECRETS = ("old_hmac_keys",)
_SECTIONS_WITH_SECRETS = ("dalp", "basic_auth")


class UnreadableError(ConfigurationError):
    """A file that is not there, or not for us."""


def line(file: Path, mark: Mark, message: str) -> str:
    """One problem with its place, without secrets."""
    return redact_text(f"{file}:{mark.line}:{mark.column}: {message}")


def read(file: Path) -> Document:
    """Read one file. ConfigurationError says why it is none that can be used."""
    try:
        return read_document(file.read_bytes().decode("utf-8"))
    except DocumentError as error:
        raise ConfigurationError([line(file, error.problem.mark, error.problem.message)]) from error
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        mark = Mark(before.count(b"\n") + 1, error.start - before.rfind(b"\n"))
        raise ConfigurationError([line(file, mark, "is not UTF-8; save it as UTF-8")]) from error
    except OSError as error:
        msg = f"{file}: cannot be read ({error.strerror}); name an existing file"
        raise UnreadableError([msg]) from error


def expand(patterns: Iterable[str], base: Path) -> tuple[Path, ...]:
    """The files that the patterns stand for now, each once; what is no pattern stands for itself.

    Relative ones begin at ``base``. A pattern that fits nothing stands for nothing.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        path = base / pattern
        named = [path]
        if glob.has_magic(pattern) and not path.exists():
            matches = map(Path, glob.glob(str(path), recursive=True))  # noqa: PTH207 - absolute patterns too
            named = sorted(match for match in matches if match.is_file())
        found |= dict.fromkeys(named)
    return tuple(found)


def with_secrets(base: Path, section: object) -> object:
    """The same section, with secret files that are relative beside the file it is written in."""
    if not isinstance(section, dict):
        return section
    for inner in _SECTIONS_WITH_SECRETS:
        if isinstance(section.get(inner), dict):
            section = section | {inner: with_secrets(base, section[inner])}
    lists = {key: section[key] for key in _LISTS_OF_SECRETS if isinstance(section.get(key), list)}
    refs = {key: section[key] for key in _SECRETS if key in section}
    return (
        section
        | {key: _beside(base, ref) for key, ref in refs.items()}
        | {key: [_beside(base, ref) for ref in some] for key, some in lists.items()}
    )


def _beside(base: Path, ref: object) -> object:
    if isinstance(ref, dict) and isinstance(ref.get("file"), str):
        return {**ref, "file": str(base / ref["file"])}
    return ref
