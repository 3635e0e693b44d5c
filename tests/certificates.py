"""Certificates for tests, made by a real openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path


def certificate(folder: Path, name: str, *, signed_by: str | None = None) -> None:
    """A certificate for localhost and its key, made by openssl; its own issuer without another."""
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    request += ["-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext"]
    request += ["subjectAltName=DNS:localhost,IP:127.0.0.1"]
    request += ["-keyout", f"{name}.key", "-out", f"{name}.crt"]
    if signed_by is not None:
        request += ["-CA", f"{signed_by}.crt", "-CAkey", f"{signed_by}.key"]
        request += ["-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run(request, cwd=folder, check=True, capture_output=True)
