"""Loading the configuration: the file with its places, the environment, the flags.

Flags win over ``RESTATE_MEDIC_…`` variables over the file over the defaults. Every problem is one
line: place, what is wrong, what to write instead.
"""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from exporter.model.errors import ConfigurationError
from exporter.model.target import Target
from exporter.policy.document import Document, DocumentError, Mark, read_document
from exporter.policy.words import did_you_mean
from exporter.settings.schema import DEFAULT_POLICIES, ENV_PREFIX, Settings, TargetSettings

_LOCALHOST = {
    "name": "local",
    "ingress_url": "http://localhost:8080",
    "admin_url": "http://localhost:9070",
}
WITHOUT_A_FILE: Mapping[str, Any] = {"targets": [_LOCALHOST], "max_mode": "observe"}
"""With no file at all: one Restate on this machine, and nothing is ever written to it."""
CONFIG_FILE_VARIABLE = f"{ENV_PREFIX}CONFIG_FILE"
_SQLITE = "sqlite:///"


@dataclass(frozen=True)
class Configuration:
    """Checked settings, and where relative paths in them begin."""

    settings: Settings
    base: Path
    file: Path | None = None

    @cached_property
    def targets(self) -> tuple[Target, ...]:
        """The targets as rules see them, in file order."""
        return tuple(self.settings.target_of(t) for t in self.settings.targets)

    @property
    def storage_url(self) -> str:
        """The ledger's URL, a relative SQLite path made absolute."""
        url = self.settings.storage.url
        if not url.startswith(_SQLITE):
            return url
        return f"{_SQLITE}{self.base / url.removeprefix(_SQLITE)}"

    @property
    def policy_patterns(self) -> tuple[str, ...]:
        """Where policies are, relative to ``base``. The default folder may be absent or empty."""
        if "policies" in self.settings.model_fields_set:
            return self.settings.policies
        return tuple(p for p in DEFAULT_POLICIES if any(self.base.glob(p)))

    def fingerprint(self) -> str:
        """A text that changes with the content of the file, the policies and the secret files.

        Content, not times: a ConfigMap is updated by swapping a link. Unreadable counts as content.
        """
        digest = hashlib.sha256()
        for path in self._files():
            digest.update(str(path).encode())
            try:
                digest.update(path.read_bytes())
            except OSError as error:
                digest.update(type(error).__name__.encode())
        return digest.hexdigest()

    def _files(self) -> list[Path]:
        files = [] if self.file is None else [self.file]
        for pattern in self.settings.policies:
            path = self.base / pattern
            named = glob.iglob(str(path), recursive=True)  # noqa: PTH207 - absolute patterns too
            inside = path.iterdir() if path.is_dir() else map(Path, named)
            files += sorted(inside)
        for target in self.settings.targets:
            for ref in (target.ingress_token, target.admin_token):
                if ref is not None and ref.file is not None:
                    files.append(ref.file)
        return [path for path in files if not path.is_dir()]

    def choose(self, name: str | None) -> str:
        """The target a command is about: the one named, or the only one."""
        names = [t.name for t in self.settings.targets]
        if name is None and len(names) == 1:
            return names[0]
        if name is None:
            msg = f"there are {len(names)} targets: name one of {', '.join(names)}"
            raise ConfigurationError([msg])
        if name not in names:
            known = ", ".join(names)
            msg = f"no target is named {name!r}{did_you_mean(name, names)}; there are: {known}"
            raise ConfigurationError([msg])
        return name

    def choose_all(self, name: str | None) -> list[str]:
        """The named target, or all of them."""
        return [self.choose(name)] if name else [t.name for t in self.settings.targets]


def load(file: Path | None, *, flags: Mapping[str, Any] | None = None) -> Configuration:
    """Load and check the configuration. ConfigurationError lists every problem."""
    problems = _unknown_variables()
    document = Document("")
    given: dict[str, Any] = dict(WITHOUT_A_FILE)
    base = Path.cwd()
    if file is not None:
        base = file.absolute().parent
        document = _read(file)
        given = document.data if isinstance(document.data, dict) else {}
        problems += [_line(file, p.mark, p.message) for p in document.problems]
        if document.data is not None and not isinstance(document.data, dict):
            problems.append(_line(file, Mark(1, 1), "must be a mapping; write key: value"))
        given.setdefault("targets", [])
    if problems:
        raise ConfigurationError(problems)
    try:
        settings = Settings.layered(given, flags or {})
    except ValidationError as error:
        raise ConfigurationError([_spell(e, file, document) for e in error.errors()]) from error
    return Configuration(settings, base, file)


def _read(file: Path) -> Document:
    try:
        return read_document(file.read_text(encoding="utf-8"))
    except DocumentError as error:
        raise ConfigurationError(
            [_line(file, error.problem.mark, error.problem.message)]
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError([f"{file}: is not UTF-8; save it as UTF-8"]) from error
    except OSError as error:
        msg = f"{file}: cannot be read ({error.strerror}); name an existing file"
        raise ConfigurationError([msg]) from error


def _unknown_variables() -> list[str]:
    known = {f"{ENV_PREFIX}{name.upper()}" for name in Settings.model_fields} | {
        CONFIG_FILE_VARIABLE
    }
    return [
        f"environment variable {name} is not known{did_you_mean(name, sorted(known))}; unset it"
        for name in sorted(os.environ)
        if name.startswith(ENV_PREFIX) and name.split("__")[0] not in known
    ]


def _line(file: Path, mark: Mark, message: str) -> str:
    return f"{file}:{mark.line}:{mark.column}: {message}"


def _spell(error: ErrorDetails, file: Path | None, document: Document) -> str:
    path = tuple(error["loc"])
    name = ".".join(str(p) for p in path)
    message = _message(error)
    if file is None or (path and path[0] not in (document.data or {})):
        variable = f"{ENV_PREFIX}{str(path[0]).upper()}" if path else ""
        where = variable if variable in os.environ else str(file or "configuration")
        return f"{where}: {name}: {message}" if name else f"{where}: {message}"
    unknown = error["type"] == "extra_forbidden"
    mark = document.key_mark(path) if unknown else document.mark(path)
    return _line(file, mark, f"{name}: {message}" if name else message)


def _message(error: ErrorDetails) -> str:
    path = error["loc"]
    match error["type"]:
        case "value_error":
            return str(error["ctx"]["error"])
        case "extra_forbidden":
            known = sorted(Settings.model_fields) if len(path) == 1 else _section_keys(path)
            mend = did_you_mean(str(path[-1]), known)
            return f"is not a key of the configuration{mend or '; remove it'}"
        case "missing":
            return "is missing; write it"
        case "enum" | "literal_error":
            return f"{error['input']!r} is not possible; write {error['ctx']['expected']}"
        case _:
            return f"{error['msg'][:1].lower()}{error['msg'][1:]}"


def _section_keys(path: tuple[int | str, ...]) -> list[str]:
    return sorted(TargetSettings.model_fields) if path[0] == "targets" else []
