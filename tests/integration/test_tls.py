"""A daemon behind TLS: everything it serves, and a certificate renewed under it."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import httpx

from exporter.wire.operator import PREFIX
from tests.certificates import certificate
from tests.medic import Medic, target_of
from tests.support import ServerFactory


def test_a_daemon_serves_tls_and_takes_a_renewed_certificate(
    fresh_restate: ServerFactory, tmp_path: Path
) -> None:
    """Metrics and the operator API over TLS; a reload shows the new certificate."""
    certificate(tmp_path, "one")
    web = {"tls_server_config": {"cert_file": "one.crt", "key_file": "one.key"}}
    (tmp_path / "web.yaml").write_text(json.dumps(web))
    targets = [target_of(fresh_restate())]
    medic = Medic(tmp_path / "medic", targets=targets, web_config_file=str(tmp_path / "web.yaml"))
    medic.start(ready=False)
    try:

        def ask(method: str, path: str, key: str, **more: object) -> httpx.Response | None:
            context = ssl.create_default_context(cafile=str(tmp_path / "one.crt"))
            url = medic.url(path).replace("http:", "https:")
            with httpx.Client(verify=context, trust_env=False, timeout=30) as client:
                try:
                    return client.request(method, url, headers={"X-Api-Key": key}, **more)  # type: ignore[arg-type]
                except httpx.TransportError:
                    return None

        medic.wait_for(lambda: ask("GET", "/-/ready", ""), "it to answer")
        key = medic.key()
        metrics = ask("GET", "/metrics", key)
        assert metrics is not None
        assert "restate_medic_build_info" in metrics.text
        doctor = ask("POST", f"{PREFIX}/doctor", key, json={})
        assert doctor is not None
        assert doctor.json()["admin"]["status"] == "ok"
        assert medic.status("/metrics") is None
        context = ssl.create_default_context(cafile=str(tmp_path / "one.crt"))
        certificate(tmp_path, "one")
        url = medic.url("/-/reload").replace("http:", "https:")
        reloaded = httpx.post(url, verify=context, trust_env=False)
        assert reloaded.text == "reloaded\n"
        assert ask("GET", "/metrics", key) is not None
        assert medic.terminate() == 0
    finally:
        medic.kill()
