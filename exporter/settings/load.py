"""Loading the configuration: the file with its places, the environment, the flags.

Flags win over ``RESTATE_MEDIC_…`` variables over the file over the defaults. Every problem is one
line: place, what is wrong, what to write instead.
"""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import SettingsError

from exporter.ledger.sealing import ChainKeys
from exporter.model.errors import ConfigurationError
from exporter.model.target import Target
from exporter.model.token import TokenKind, expiry_of, kind_of
from exporter.policy.document import Document, Mark
from exporter.policy.document import Path as KeyPath
from exporter.policy.words import did_you_mean
from exporter.settings.complaints import spell, undecodable
from exporter.settings.files import expand, line, read, with_secrets
from exporter.settings.schema import DEFAULT_POLICIES, ENV_PREFIX, SOME_TARGET, Settings
from exporter.settings.secrets import SecretRef
from exporter.settings.target_files import Filed, read_target_files, refuse_duplicates
from exporter.settings.web_config import WebConfig, load_web_config

_LOCALHOST = {
    "name": "local",
    "ingress_url": "http://localhost:8080",
    "admin_url": "http://localhost:9070",
}
WITHOUT_A_FILE: Mapping[str, Any] = {"targets": [_LOCALHOST], "max_mode": "observe"}
"""With no file at all: one Restate on this machine, and nothing is ever written to it."""
USUAL_FILE = "restate-medic.yaml"
"""What the configuration is mostly called; it is read only when it is named."""
CONFIG_FILE_VARIABLE = f"{ENV_PREFIX}CONFIG_FILE"
SERVICE_URL_VARIABLE = f"{ENV_PREFIX}SERVICE_URL"
"""The worker that ``redeploy`` registers, where a pipeline does not name it on the command line."""
KEY_VARIABLE = f"{ENV_PREFIX}KEY"
"""The key that commands show a daemon, where no file is named."""
_SQLITE = "sqlite:///"


@dataclass(frozen=True)
class Configuration:
    """Checked settings, and where relative paths in them begin."""

    settings: Settings
    base: Path
    file: Path | None = None
    filed: tuple[Filed, ...] = ()
    """Where the last of the targets come from; those before them are the configuration's own."""

    @cached_property
    def targets(self) -> tuple[Target, ...]:
        """The targets as rules see them, in file order."""
        return tuple(self.settings.target_of(t) for t in self.settings.targets)

    @cached_property
    def web(self) -> WebConfig:
        """TLS and passwords of the HTTP server. ConfigurationError lists every problem."""
        return load_web_config(self._web_config_file)

    @property
    def _web_config_file(self) -> Path | None:
        file = self.settings.web_config_file
        return None if file is None else self.base / file

    @property
    def storage_url(self) -> str:
        """The ledger's URL, a relative SQLite path made absolute."""
        url = self.settings.storage.url
        if not url.startswith(_SQLITE):
            return url
        return f"{_SQLITE}{self.base / url.removeprefix(_SQLITE)}"

    @property
    def ledger_keys(self) -> ChainKeys:
        """The keys of the ledger's chain, read now. ConfigurationError when one is gone."""
        try:
            return self.settings.storage.keys
        except ValueError as error:
            raise ConfigurationError([f"storage: {error}"]) from error

    @property
    def ledger_file(self) -> Path | None:
        """The ledger's file, if it is one."""
        url = self.storage_url
        return Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None

    @property
    def policy_patterns(self) -> tuple[str, ...]:
        """Where policies are, relative to ``base``. The default folder may be absent or empty."""
        if "policies" in self.settings.model_fields_set:
            return self.settings.policies
        return tuple(p for p in DEFAULT_POLICIES if any(self.base.glob(p)))

    def notes(self, now: datetime) -> tuple[str, ...]:
        """What is possible and probably not meant: a file not read, tokens that will be refused."""
        found = []
        if self.file is None and (self.base / USUAL_FILE).is_file():
            found.append(
                f"{USUAL_FILE} is here and not read: name it with --config.file or"
                f" {CONFIG_FILE_VARIABLE}"
            )
        for place, target in zip(self._places(), self.settings.targets, strict=True):
            key, ingress = f"{place}.admin_token", _secret(target.ingress_token)
            token = _secret(target.admin_token)
            expires = expiry_of(token)
            if kind_of(token) is TokenKind.API_KEY and token == ingress:
                found.append(
                    f"{key}: is the ingress_token's API key; the admin API takes it only if it has"
                    " the role Admin, which the ingress does not need: use two"
                )
            elif kind_of(token) is TokenKind.API_KEY:
                found.append(
                    f"{key}: is an API key (key_…); the admin API takes it only with the role"
                    " Admin, else the JWT (eyJ…) of restate cloud login"
                )
            elif kind_of(token) is TokenKind.JWT and expires is not None and expires <= now:
                found.append(f"{key}: is a JWT that expired at {expires:%F %T}Z: log in again")
        return tuple(found)

    def _places(self) -> Iterator[str]:
        """Where each target is written."""
        own = len(self.settings.targets) - sum(len(one.targets) for one in self.filed)
        yield from (f"targets[{number}]" for number in range(own))
        for one in self.filed:
            yield from (f"{one.file}: [{number}]" for number in range(len(one.targets)))

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
        if self._web_config_file is not None:
            files.append(self._web_config_file)
            with suppress(ConfigurationError):
                files += self.web.files
        files += expand(self.settings.target_files, self.base)
        for target in self.settings.targets:
            files += [ref.file for ref in target.secrets if ref.file is not None]
        webhooks = (notifier.webhook.file for notifier in self.settings.notifiers.values())
        files += [file for file in webhooks if file is not None]
        alertmanager = self.settings.alertmanager
        secrets = () if alertmanager is None else alertmanager.secrets
        files += [ref.file for ref in secrets if ref.file is not None]
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
            msg = f"no target is named {name!r}{did_you_mean(name, names)}; write one of: {known}"
            raise ConfigurationError([msg])
        return name

    def choose_all(self, name: str | None) -> list[str]:
        """The named target, or all of them."""
        return [self.choose(name)] if name else [t.name for t in self.settings.targets]


def _secret(ref: SecretRef | None) -> str | None:
    """The secret, if there is one; one that is being replaced just now is none."""
    try:
        return ref.read() if ref is not None else None
    except ValueError:
        return None


def load(file: Path | None, *, flags: Mapping[str, Any] | None = None) -> Configuration:
    """Load and check the configuration. ConfigurationError lists every problem."""
    problems = _unknown_variables()
    document = Document("")
    given: dict[str, Any] = dict(WITHOUT_A_FILE)
    base = Path.cwd()
    if file is not None:
        base = file.absolute().parent
        document = read(file)
        given = _beside(base, document.data) if isinstance(document.data, dict) else {}
        problems += [line(file, p.mark, p.message) for p in document.problems]
        if document.data is not None and not isinstance(document.data, dict):
            problems.append(line(file, Mark(1, 1), "must be a mapping; write key: value"))
        given.setdefault("targets", [])
    if problems:
        raise ConfigurationError(problems)
    flags = flags or {}
    try:
        settings = Settings.layered(given, flags)
    except ValidationError as error:
        lines = [spell(e, file, document, flags) for e in error.errors()]
        raise ConfigurationError(lines) from error
    except SettingsError as error:
        raise ConfigurationError(undecodable()) from error
    return _with_filed(Configuration(settings, base, file), document)


def _with_filed(configuration: Configuration, document: Document) -> Configuration:
    """The same, with the targets of its target files after its own."""
    settings = configuration.settings

    def told(path: KeyPath, message: str) -> str:
        file = configuration.file
        if file is None or "target_files" not in (document.data or {}):
            return f"target_files: {message}"
        return line(file, document.mark(path), f"target_files: {message}")

    filed = read_target_files(
        settings.target_files,
        configuration.base,
        place=lambda number, message: told(("target_files", number), message),
    )
    refuse_duplicates(settings.targets, filed)
    targets = (*settings.targets, *(target for one in filed for target in one.targets))
    if not targets:
        msg = f"name no target, and neither does targets; {SOME_TARGET}"
        raise ConfigurationError([told(("target_files",), msg)])
    merged = settings.model_copy(update={"targets": targets})
    return Configuration(merged, configuration.base, configuration.file, filed)


def _beside(base: Path, given: dict[str, Any]) -> dict[str, Any]:
    """The same, with secret files that are relative beside the configuration file."""
    result = dict(given)
    targets, notifiers = given.get("targets"), given.get("notifiers")
    for name in ("alertmanager", "storage"):
        if name in given:
            result[name] = with_secrets(base, given[name])
    if isinstance(targets, list):
        result["targets"] = [with_secrets(base, target) for target in targets]
    if isinstance(notifiers, dict):
        result["notifiers"] = {n: with_secrets(base, one) for n, one in notifiers.items()}
    return result


def _unknown_variables() -> list[str]:
    known = {f"{ENV_PREFIX}{name.upper()}" for name in Settings.model_fields} | {
        CONFIG_FILE_VARIABLE,
        SERVICE_URL_VARIABLE,
        KEY_VARIABLE,
    }
    return [
        f"environment variable {name} is not known{did_you_mean(name, sorted(known))}; unset it"
        for name in sorted(os.environ)
        if name.startswith(ENV_PREFIX) and name.split("__")[0] not in known
    ]
