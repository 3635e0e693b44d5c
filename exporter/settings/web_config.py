"""The web configuration file that Prometheus and its exporters share (``--web.config.file``).

TLS and passwords of the HTTP server, in the exporter toolkit's form. What it knows and this server
cannot do is refused rather than ignored. Paths in it begin where the file is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator

from exporter.model.errors import ConfigurationError
from exporter.policy.document import Mark
from exporter.settings.complaints import spell
from exporter.settings.fields import Kind
from exporter.settings.files import line, read
from exporter.settings.secrets import Section

_BCRYPT = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}")


def _not_here(_value: object) -> None:
    msg = "is not possible with this server; remove it"
    raise ValueError(msg)


def _bcrypt(value: object) -> str:
    if not _BCRYPT.fullmatch(str(value)):
        msg = "is no bcrypt hash; write what `htpasswd -nBC 10 NAME` prints after the colon"
        raise ValueError(msg)
    return str(value)


def _header(value: object) -> str:
    text = str(value)
    if not text.isascii() or not text.isprintable():
        msg = "is no header value; write plain ASCII on one line"
        raise ValueError(msg)
    return text


_NotHere = Annotated[None, BeforeValidator(_not_here), Kind(None)]
_Version = Literal["TLS12", "TLS13"]
PasswordHash = Annotated[str, BeforeValidator(_bcrypt), Kind("bcrypt hash")]
HeaderName = Literal[
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-XSS-Protection",
    "Content-Security-Policy",
]


class TlsServer(Section):
    """How the server speaks TLS."""

    cert_file: Path
    """The certificate and what leads from it to a CA, as PEM."""
    key_file: Path
    """Its key."""
    client_ca_file: Path | None = None
    """The CA that clients' certificates are checked with."""
    client_auth_type: Literal[
        "NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"
    ] = "NoClientCert"
    """Whether clients need a certificate."""
    min_version: _Version = "TLS12"
    """The oldest that is spoken."""
    max_version: _Version = "TLS13"
    """The newest that is spoken."""
    cert: _NotHere = None
    key: _NotHere = None
    client_ca: _NotHere = None
    client_allowed_sans: _NotHere = None
    cipher_suites: _NotHere = None
    curve_preferences: _NotHere = None
    prefer_server_cipher_suites: bool = True
    """Accepted and without effect, as in the toolkit of today."""

    @model_validator(mode="after")
    def _fits(self) -> TlsServer:
        if (self.client_ca_file is None) != (self.client_auth_type == "NoClientCert"):
            msg = "client_ca_file and a client_auth_type that verifies go together; write both"
            raise ValueError(msg)
        if self.min_version > self.max_version:
            msg = "min_version is above max_version; swap them"
            raise ValueError(msg)
        return self


class HttpServer(Section):
    """Headers of every answer. HTTP/2 is not spoken, whatever ``http2`` says."""

    http2: bool = True
    """Accepted and without effect."""
    headers: dict[HeaderName, Annotated[str, BeforeValidator(_header)]] = Field(
        default_factory=dict
    )
    """Put on every answer."""


class WebConfig(Section):
    """The whole file."""

    tls_server_config: TlsServer | None = None
    """Without it, TLS is not spoken."""
    http_server_config: HttpServer = HttpServer()
    """Headers of every answer."""
    basic_auth_users: dict[str, PasswordHash] = Field(default_factory=dict)
    """Who may ask for anything at all; without it, everybody."""
    rate_limit: _NotHere = None

    @property
    def files(self) -> tuple[Path, ...]:
        """The other files that it names."""
        tls = self.tls_server_config
        named = () if tls is None else (tls.cert_file, tls.key_file, tls.client_ca_file)
        return tuple(path for path in named if path is not None)


_SECTIONS: Mapping[str, type[BaseModel]] = {
    "": WebConfig,
    "tls_server_config": TlsServer,
    "http_server_config": HttpServer,
}


def load_web_config(file: Path | None) -> WebConfig:
    """Load and check the file; no file is no TLS and no password. ConfigurationError lists all."""
    if file is None:
        return WebConfig()
    document = read(file)
    problems = [line(file, p.mark, p.message) for p in document.problems]
    data = {} if document.data is None else document.data
    if not isinstance(data, dict):
        problems.append(line(file, Mark(1, 1), "must be a mapping; write key: value"))
    if problems:
        raise ConfigurationError(problems)
    try:
        found = WebConfig.model_validate(_beside(file.absolute().parent, data))
    except ValidationError as error:
        raise ConfigurationError(
            [
                spell(e, file, document, {}, sections=_SECTIONS, layered=False)
                for e in error.errors()
            ]
        ) from error
    unreadable = [
        f"{file}: {path} cannot be read; name a file that this user may read"
        for path in found.files
        if not _readable(path)
    ]
    if unreadable:
        raise ConfigurationError(unreadable)
    return found


def _beside(base: Path, data: dict[str, object]) -> dict[str, object]:
    """The same, with relative paths beside the file."""
    tls = data.get("tls_server_config")
    if not isinstance(tls, dict):
        return data
    paths = {
        key: str(base / value)
        for key, value in tls.items()
        if key in {"cert_file", "key_file", "client_ca_file"} and isinstance(value, str)
    }
    return {**data, "tls_server_config": {**tls, **paths}}


def _readable(path: Path) -> bool:
    try:
        with path.open("rb"):
            return True
    except OSError:
        return False
