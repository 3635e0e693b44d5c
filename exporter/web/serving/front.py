"""What the web configuration file makes of the server, also when it is read again."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

from exporter.settings.web_config import WebConfig
from exporter.web.entry.passwords import Passwords
from exporter.web.serving.tls import server_context, use_certificate

_RENEWED = {"cert_file", "key_file"}


class Front:
    """Holds what is in force. ConfigurationError when a certificate cannot be used."""

    def __init__(self, config: WebConfig) -> None:
        self._config = config
        tls = config.tls_server_config
        self.tls: ssl.SSLContext | None = None if tls is None else server_context(tls)
        self.passwords = Passwords()
        self.headers: Mapping[str, str] = {}
        self._take(config)

    def use(self, config: WebConfig) -> bool:
        """Take users, headers and a renewed certificate; False when the rest needs a restart."""
        before, after = self._config.tls_server_config, config.tls_server_config
        if after is not None and self.tls is not None:
            server_context(after)  # a pair that does not fit must not get half-way into force
            use_certificate(self.tls, after)
        self._take(config)
        if before is None or after is None:
            return before is after
        return before.model_dump(exclude=_RENEWED) == after.model_dump(exclude=_RENEWED)

    def _take(self, config: WebConfig) -> None:
        self._config = config
        self.passwords.use(config.basic_auth_users)
        self.headers = {str(k): v for k, v in config.http_server_config.headers.items()}
