"""Secrets put everywhere they can enter a daemon, and looked for everywhere it tells something."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt
import httpx
import pytest

from exporter.wire.operator import PREFIX
from lab import ServiceSpec, Worker
from tests.integration.surgery import send, until
from tests.medic import Medic, target_of
from tests.support import ServerFactory, WorkerFactory

CANARY = "c4n4ry"
IN_URL, IN_HEADER, PASSWORD = f"{CANARY}-in-url", f"{CANARY}-in-header", f"{CANARY}-password"
API_KEY = f"key_{CANARY}AAAAAAAAAAAA"
JWT = f"eyJ{CANARY}BBBBBBBBBBBBBBBBBB.CCCC.DDDD"
BEARER = f"Bearer {CANARY}EEEEEEEEEEEE"
OTHER_KEY = f"rm_{CANARY}FFFFFFFFFFFFFFFFFFFF"
ON_PROD = "?target=prod"


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"prom:{password}".encode()).decode()


@dataclass
class Listener:
    """Talks to a daemon that asks for a password, and keeps all that it is told."""

    medic: Medic
    key: str
    told: list[str] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)

    def ask(self, method: str, path: str, body: object = None, **more: str) -> int:
        sent = {"authorization": basic(PASSWORD), "x-api-key": self.key}
        sent |= {name.replace("_", "-"): value for name, value in more.items()}
        answer = httpx.request(
            method, self.medic.url(path), json=body, headers=sent, timeout=60, trust_env=False
        )
        self.told.append(f"{answer.headers} {answer.text}")
        self.bodies.append(answer.text)
        return answer.status_code

    def post(self, route: str, body: object, query: str = ON_PROD, **more: str) -> int:
        return self.ask("POST", f"{PREFIX}/{route}{query}", body, **more)


@pytest.fixture
def worker(worker_factory: WorkerFactory) -> Worker:
    return worker_factory(ServiceSpec("Greeter"), ServiceSpec("Signup", "workflow"))


def never() -> dict[str, object]:
    """A policy that somebody pasted a key into, and that never acts."""
    return {
        "name": "never",
        "mode": "observe",
        "targets": {"names": ["prod"]},
        "when": f'services.missing.exists(s, s == "{OTHER_KEY}")',
        "action": {"force-redeploy": {}},
        "cooldown": "1h",
        "limits": [{"scope": "target", "max": 1, "per": "1h"}],
    }


@pytest.fixture
def listener(
    fresh_restate: ServerFactory, worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Listener]:
    """A daemon whose every credential is a canary: tokens, passwords, headers of a deployment."""
    restate = fresh_restate()
    headers = {"authorization": f"Bearer {IN_HEADER}", "x-tenant": IN_HEADER}
    restate.register(worker.url, additional_headers=headers)
    until(restate, send(restate, "Signup", "fail", "k1"), "completed")
    monkeypatch.setenv("MEDIC_TEST_INGRESS", API_KEY)
    (tmp_path / "admin").write_text(JWT)
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (tmp_path / "web.yaml").write_text(json.dumps({"basic_auth_users": {"prom": hashed}}))
    prod = target_of(
        restate,
        service_url=worker.url,
        ingress_token={"env": "MEDIC_TEST_INGRESS"},
        admin_token={"file": str(tmp_path / "admin")},
    )
    broken: dict[str, object] = {
        "name": "broken",
        "ingress_url": f"http://medic:{IN_URL}@127.0.0.1:1",
        "admin_url": f"http://medic:{IN_URL}@127.0.0.1:1/admin",
    }
    web = str(tmp_path / "web.yaml")
    folder, targets = tmp_path / "medic", [prod, broken]
    policies = [never()]
    medic = Medic(
        folder, targets=targets, policies=policies, web_config_file=web, log_level="debug"
    )
    medic.start(ready=False)
    try:
        medic.wait_for(lambda: medic.status("/-/healthy") == httpx.codes.UNAUTHORIZED, "answers")
        listener = Listener(medic, medic.key())
        medic.wait_for(lambda: listener.ask("GET", "/-/ready") == httpx.codes.OK, "readiness")
        yield listener
    finally:
        medic.kill()


def act(listener: Listener, port: int) -> None:
    """Everything that a person can send, with something secret in it."""
    post, url = listener.post, f"http://medic:{IN_URL}@127.0.0.1:{port}/?tenant=a"
    for query in (ON_PROD, "?target=broken"):
        assert post("doctor", {}, query, x_reason=BEARER) == 200
    assert post("doctor", {}, x_api_key=OTHER_KEY) == 401
    for wrong in (basic(CANARY), BEARER):
        assert post("doctor", {}, authorization=wrong) == 401
    assert post("force-redeploy", {"serviceUrl": url, "reason": OTHER_KEY}) == 200
    assert post("cleanup-stale-deployments", {"serviceUrl": url}) in {200, 409}
    gone = url.replace(str(port), "1")
    assert post("force-redeploy", {"serviceUrl": gone}) == 502
    assert post("cleanup-stale-deployments", {"serviceUrl": gone}) == 404
    assert post("cleanup-stale-deployments", {"serviceUrl": gone}, "?target=broken") == 503
    stuck = {"serviceName": "Signup", "serviceKey": "k1"}
    assert post("recover-stuck-workflow", stuck, x_reason=API_KEY, x_request_id=OTHER_KEY) == 200
    for body in (
        {"serviceUrl": url.replace(str(port), "999999")},
        {"serviceUrl": 1, url: OTHER_KEY, "token": PASSWORD},
        [url],
        url,
    ):
        assert post("force-redeploy", body) == 422
    assert post("doctor", {}, f"?target={OTHER_KEY}") == 404
    assert post("doctor", {}, f"?target={url}&password={PASSWORD}") == 422


def steer(listener: Listener, url: str) -> None:
    """The same over the control routes."""
    ask, secret = listener.ask, f"{url} {BEARER} {OTHER_KEY}"
    made = {"scope": "target", "name": "prod", "reason": secret}
    assert ask("POST", "/api/v1/pauses", made, x_reason=BEARER) == 201
    assert ask("POST", "/api/v1/pauses", {**made, "scope": url, "token": PASSWORD}) == 422
    assert ask("POST", "/api/v1/pauses", {**made, "name": OTHER_KEY}) == 404
    assert ask("POST", f"/api/v1/operations/{OTHER_KEY}/approve", {"reason": secret}) == 404
    assert ask("POST", f"/api/v1/breakers/policy:{OTHER_KEY}/reset", x_reason=secret) == 404
    assert ask("POST", "/api/v1/targets/broken/check", {"reason": secret}) in {200, 202}
    assert ask("POST", f"/api/v1/targets/{OTHER_KEY}/check") == 404
    labels = {"target": OTHER_KEY, "url": url, "password": PASSWORD}
    alerts = {"version": "4", "alerts": [{"status": "firing", "labels": labels}]}
    assert ask("POST", "/api/v1/alertmanager", alerts) == 202
    assert ask("POST", "/api/v1/alertmanager", {"version": secret, "alerts": []}) == 422
    for query in (f"limit={OTHER_KEY}", f"cursor={OTHER_KEY}", f"{OTHER_KEY}=1", f"target={url}"):
        assert ask("GET", f"/api/v1/operations?{query}") == 422


def look(listener: Listener) -> None:
    """Read everything that can be read, each operation included."""
    for path in (
        *("/", "/metrics", "/openapi.json", "/api/v1/decisions", "/api/v1/targets"),
        *("/api/v1/targets/prod", "/api/v1/targets/broken", "/api/v1/policies"),
        *("/api/v1/policies/never", "/api/v1/decisions/prod/never"),
        *("/api/v1/operations", "/api/v1/pauses", "/api/v1/breakers"),
    ):
        assert listener.ask("GET", path) == 200, path
    for row in json.loads(listener.bodies[-3])["operations"]:
        assert listener.ask("GET", f"/api/v1/operations/{row['id']}") == 200


def test_no_secret_is_told_anywhere(listener: Listener, worker: Worker, tmp_path: Path) -> None:
    """Neither in logs, metrics, ledger, pages, answers, errors nor what commands print."""
    act(listener, worker.port)
    medic, told = listener.medic, listener.told
    steer(listener, f"http://medic:{IN_URL}@127.0.0.1:{worker.port}/?tenant=a")
    look(listener)
    (tmp_path / "web.yaml").write_text(json.dumps({"basic_auth_users": {"prom": PASSWORD}}))
    assert listener.ask("POST", "/-/reload") == 500
    rows = medic.operations()
    told += [json.dumps(rows), medic.command("key", "list", "--all").stdout]
    told += [medic.command("audit", "show", row["id"]).stdout for row in rows[:3]]
    assert medic.terminate() == 0
    told += [medic.log.read_text()]
    told += [file.read_bytes().decode("latin-1") for file in (medic.folder / "data").iterdir()]
    assert len(rows) >= 13
    everything = "\n".join(told)
    assert "REDACTED@" in everything
    for line in everything.splitlines():
        # Whoever sends a request id gets it back in a header; it is not written down.
        assert CANARY not in line.replace(f"'x-request-id': '{OTHER_KEY}'", ""), line[:2000]
    assert listener.key not in everything
