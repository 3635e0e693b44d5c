"""The daemon on a real Restate beside a real Alertmanager: what fires or is silenced holds it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from exporter.policy.alarms import OWN_LABEL, OWN_VALUE
from lab import RestateServer, Worker
from tests.alertmanager import Tended
from tests.integration.rolled import BILLING, GREETER, re_register, registered
from tests.medic import Medic
from tests.support import ServerFactory, ToolFinder, WorkerFactory

CANARY = "c4n4ry"
CRITICAL = {"alertname": "DatabaseDown", "severity": "critical", "target": "prod"}
OWN = {**CRITICAL, "alertname": "RestateServiceMissing", OWN_LABEL: OWN_VALUE}
SECTION = {"interval": "1s", "max_age": "3s", "warm_up": "1s"}


def blocked() -> dict[str, object]:
    """The usual policy, which does not act beside critical alerts of its target."""
    return re_register(block_on_alerts=['severity="critical", target="$target"'])


@dataclass
class Scene:
    """A fault that the policy would repair, and all that may keep it from that."""

    medic: Medic
    alerts: Tended
    restate: RestateServer
    worker: Worker
    target: dict[str, object]

    def start(self, **section: object) -> None:
        """Start the daemon on the healthy target, and see that it hears Alertmanager."""
        self.configure(**section)
        self.medic.start()
        self.medic.wait_for(lambda: self.heard_at() is not None, "Alertmanager to be heard")

    def configure(self, **section: object) -> None:
        settings: dict[str, Any] = {"alertmanager": {"url": self.alerts.url, **SECTION, **section}}
        self.medic.write(targets=[self.target], policies=[blocked()], **settings)

    def heard_at(self) -> float | None:
        return self.medic.sample("alertmanager_last_ok_timestamp_seconds")

    def break_it(self) -> None:
        """The worker gets a service that nobody registers."""
        self.worker.roll([GREETER, BILLING])

    def held(self, reason: str) -> str:
        """Wait until the policy holds for this reason; its detail."""
        self.medic.wait_for(lambda: self.medic.holds("re-register") == {reason}, reason)
        (decision,) = self.medic.decisions()
        assert "Billing" not in self.restate.exposed()
        return str(decision["detail"])

    def healed(self) -> None:
        """Wait until the policy has acted."""
        self.medic.wait_for(lambda: "Billing" in self.restate.exposed(), "the repair")


@pytest.fixture
def scene(
    tool: ToolFinder, fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> Iterator[Scene]:
    restate, worker, target = registered(fresh_restate(), worker_factory)
    with Tended(tool, tmp_path) as alerts:
        medic = Medic(tmp_path / "medic", targets=[target])
        try:
            yield Scene(medic, alerts, restate, worker, target)
        finally:
            if medic._child is not None:  # noqa: SLF001 - a test may fail before it starts
                medic.kill()


def test_an_alert_holds_the_policy_until_it_resolves(scene: Scene) -> None:
    """Another target's does not, nor does restate-medic's own; the hold names the alert."""
    scene.alerts.fire(CRITICAL)
    scene.alerts.fire(OWN)
    scene.start()
    scene.break_it()
    assert scene.held("alert_firing").startswith("DatabaseDown fires since 20")
    labels = {"policy": "re-register", "reason": "alert_firing", "target": "prod"}
    assert scene.medic.sample("policy_held_since_timestamp_seconds", **labels)
    scene.alerts.fire({**CRITICAL, "target": "lab"})
    scene.alerts.resolve(CRITICAL)
    scene.healed()


def test_a_silence_of_the_target_holds_until_it_is_expired(scene: Scene) -> None:
    """Made with amtool; one that is about something else holds nothing."""
    scene.alerts.silence("target=lab")
    scene.alerts.silence("alertname=DatabaseDown")
    ident = scene.alerts.silence("target=~pr.d", comment="moving the database")
    scene.start()
    scene.break_it()
    detail = scene.held("silenced")
    assert detail == f"mira silenced this target: moving the database (silence {ident})"
    scene.alerts.expire(ident)
    scene.healed()


def test_a_silence_on_what_fires_about_the_target_holds(scene: Scene) -> None:
    """What a click on Silence beside one of restate-medic's alerts makes."""
    scene.alerts.fire(OWN)
    ident = scene.alerts.silence(*(f"{name}={value}" for name, value in OWN.items()))
    scene.start()
    scene.break_it()
    scene.held("silenced")
    scene.alerts.expire(ident)
    scene.healed()


def test_without_alertmanager_nothing_acts_and_with_it_again_it_does(scene: Scene) -> None:
    """What it said grows old; after its restart, it is believed once it has warmed up."""
    scene.alerts.fire(CRITICAL)
    scene.start()
    scene.break_it()
    scene.held("alert_firing")
    scene.alerts.stop()

    def old() -> bool:
        (decision,) = scene.medic.decisions()
        return "last read" in str(decision["detail"]) and "refused" in str(decision["detail"])

    scene.medic.wait_for(old, "its age, and why it is not read")
    scene.held("alerts_unknown")
    before = scene.heard_at()
    scene.alerts.start()  # with nothing that fires: it forgets
    scene.healed()
    assert (scene.heard_at() or 0) > (before or 0)
    assert len(scene.medic.events("alertmanager.failed")) == 1


def test_a_person_is_held_by_none_of_it(scene: Scene) -> None:
    """Alertmanager is for policies; who orders something knows what they do."""
    scene.alerts.fire(CRITICAL)
    scene.alerts.silence("target=prod")
    scene.start()
    scene.break_it()
    scene.held("silenced")  # and the alert with it
    ordered = scene.medic.command("redeploy", "--yes")
    assert ordered.returncode == 0, ordered.stderr
    assert "Billing" in scene.restate.exposed()


def test_the_section_is_reloaded(scene: Scene) -> None:
    """Another Alertmanager is asked at once, and what the first one told is forgotten."""
    scene.alerts.fire(CRITICAL)
    scene.start()
    scene.break_it()
    scene.held("alert_firing")
    scene.configure(url="http://127.0.0.1:1")
    assert scene.medic.post("/-/reload").status_code == 200
    assert "was not read yet" in scene.held("alerts_unknown")
    assert scene.heard_at() is None
    scene.medic.write(targets=[scene.target], policies=[re_register()])
    assert scene.medic.post("/-/reload").status_code == 200
    scene.healed()


def test_no_secret_of_alertmanager_is_told_anywhere(scene: Scene, tmp_path: Path) -> None:
    """User info of its URL and its token, in what fails: logs, metrics, ledger, pages, errors."""
    (tmp_path / "medic" / "token").write_text(f"{CANARY}-token-1234567890")
    hidden = base64.b64encode(f"medic:{CANARY}-in-url".encode()).decode()
    told = []
    for section in (
        {"url": f"http://medic:{CANARY}-in-url@127.0.0.1:1/am"},
        {"url": f"{scene.restate.admin_url}", "token": {"file": "token"}},
        {
            "url": f"{scene.restate.admin_url}",
            "basic_auth": {"username": "medic", "password": {"file": "token"}},
        },
    ):
        scene.configure(**section)
        if scene.medic._child is None:  # noqa: SLF001 - the first of them
            scene.medic.start()
            scene.break_it()
        else:
            assert scene.medic.post("/-/reload").status_code == 200

        def failed() -> bool:
            (decision,) = scene.medic.decisions()
            return ": GET http" in str(decision["detail"])

        scene.medic.wait_for(failed, "the failure to be told")
        told += [scene.medic.get(path).text for path in ("/", "/metrics", "/api/v1/decisions")]
    scene.configure(url=f"http://medic:{CANARY}-in-url@127.0.0.1/?a")
    refused = scene.medic.post("/-/reload")
    assert refused.status_code == 500
    told += [refused.text, scene.medic.command("run", "--config.check").stderr]
    assert scene.medic.terminate() == 0
    told += [scene.medic.log.read_text()]
    told += [path.read_bytes().decode("latin-1") for path in scene.medic.folder.glob("data/*")]
    assert not [text for text in told if CANARY in text or hidden in text]
