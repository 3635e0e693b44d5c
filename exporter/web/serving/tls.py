"""TLS of the server, whose certificate may be renewed while it runs."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from exporter.model.errors import ConfigurationError

if TYPE_CHECKING:
    from exporter.settings.web_config import TlsServer

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_CLIENTS = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}


def server_context(tls: TlsServer) -> ssl.SSLContext:
    """What ``tls`` says, as a context. ConfigurationError when its files do not fit together."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[tls.min_version]
    context.maximum_version = _VERSIONS[tls.max_version]
    context.set_alpn_protocols(["http/1.1"])
    use_certificate(context, tls)
    if tls.client_ca_file is not None:
        try:
            context.load_verify_locations(tls.client_ca_file)
        except (ssl.SSLError, OSError) as error:
            msg = f"{tls.client_ca_file}: holds no certificates; write them as PEM"
            raise ConfigurationError([msg]) from error
    context.verify_mode = _CLIENTS[tls.client_auth_type]
    return context


def use_certificate(context: ssl.SSLContext, tls: TlsServer) -> None:
    """Show this certificate to whoever connects from now on."""
    try:
        # A password is never asked for on a terminal: a daemon has none.
        context.load_cert_chain(tls.cert_file, tls.key_file, password=lambda: "")
    except (ssl.SSLError, OSError, ValueError) as error:
        msg = (
            f"{tls.cert_file}: this certificate and the key {tls.key_file} cannot be used; write"
            " both as PEM, the key that belongs to the certificate, without a password"
        )
        raise ConfigurationError([msg]) from error
