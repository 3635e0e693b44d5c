"""The daemon as a process: start, stop, reload, and what it does when its surroundings are bad."""

from __future__ import annotations

import signal
import socket
import sqlite3
from pathlib import Path

import httpx
import pytest

from lab import RestateServer, ServiceSpec
from tests.integration.rolled import GREETER, re_register, registered
from tests.medic import Medic, target_of
from tests.support import ServerFactory, WorkerFactory
from tests.unit.test_model_token import jwt

FIVE = ("ingress", "admin", "deployments", "services", "invocations")


def test_all_five_components_are_ok_on_a_healthy_restate(
    each_restate: RestateServer, tmp_path: Path
) -> None:
    """What README promises of /metrics, on both supported versions."""
    with Medic(tmp_path, targets=[target_of(each_restate, "local")]) as medic:
        for component in FIVE:
            labels = {"component": component, "status": "ok", "target": "local"}
            assert medic.sample("component_status", **labels) == 1
        assert medic.sample("up", target="local") == 1


def test_a_restate_that_goes_away_is_unreachable_and_nothing_is_claimed_about_it(
    fresh_restate: ServerFactory, tmp_path: Path
) -> None:
    """Its numbers stay until they are stale and then disappear; they never turn into zeros."""
    restate = fresh_restate()
    with Medic(tmp_path, targets=[target_of(restate)]) as medic:
        assert medic.sample("invocations", status="paused", target="prod") == 0
        restate.kill()
        gone = {"component": "admin", "status": "unreachable", "target": "prod"}
        medic.wait_for(lambda: medic.sample("component_status", **gone) == 1, "unreachable")
        refused = {"component": "admin", "reason": "refused", "target": "prod"}
        assert medic.sample("component_failure", **refused) == 1
        medic.wait_for(lambda: not medic.samples("invocations"), "stale numbers to disappear")
        assert medic.sample("up", target="prod") == 0


def test_a_removed_target_takes_its_series_with_it_and_a_new_one_is_read_at_once(
    each_restate: RestateServer, tmp_path: Path
) -> None:
    """Reload swaps the whole configuration: by SIGHUP, by POST, and by itself."""
    medic = Medic(tmp_path, targets=[target_of(each_restate, "first")])
    with medic:
        medic.write(targets=[target_of(each_restate, "second")])
        medic.child.signal(signal.SIGHUP)
        medic.wait_for(lambda: medic.sample("up", target="second") == 1, "the new target")
        assert "first" not in medic.get("/metrics").text
        medic.write(targets=[target_of(each_restate, "third")])
        assert medic.post("/-/reload").status_code == httpx.codes.OK
        medic.wait_for(lambda: medic.sample("up", target="third") == 1, "the third target")
        medic.write(targets=[target_of(each_restate, "fourth")])
        medic.wait_for(lambda: medic.sample("up", target="fourth") == 1, "the change to be seen")


def test_an_invalid_reload_keeps_the_old_configuration_and_says_so(
    each_restate: RestateServer, tmp_path: Path
) -> None:
    """The answer has place and mend, the metric drops to 0, watching goes on."""
    with Medic(tmp_path, targets=[target_of(each_restate)]) as medic:
        medic.write(targets=[target_of(each_restate, "a b")])
        answer = medic.post("/-/reload")
        assert answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR
        assert "restate-medic.yaml:1:" in answer.text
        assert "is not a name" in answer.text
        assert medic.sample("config_last_reload_successful") == 0
        assert medic.sample("up", target="prod") == 1
        medic.write(targets=[target_of(each_restate)])
        assert medic.post("/-/reload").status_code == httpx.codes.OK
        assert medic.sample("config_last_reload_successful") == 1


def test_sigterm_exits_0_and_frees_the_port(each_restate: RestateServer, tmp_path: Path) -> None:
    """A plain stop is a clean one."""
    with Medic(tmp_path, targets=[target_of(each_restate)]) as medic:
        assert medic.terminate() == 0
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", medic.port)) != 0


def test_a_taken_port_is_one_clear_line_and_exit_1(
    each_restate: RestateServer, tmp_path: Path
) -> None:
    """Nothing is started, and the line names the address."""
    medic = Medic(tmp_path, targets=[target_of(each_restate)])
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", medic.port))
        taken.listen()
        answer = medic.command("run", f"--web.listen-address=127.0.0.1:{medic.port}")
    assert answer.returncode == 1
    assert f"127.0.0.1:{medic.port}" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ([], "names none"),
        ([{"name": "x"}], "ingress_url"),
    ],
)
def test_an_invalid_configuration_is_exit_2_with_the_place_and_the_mend(
    tmp_path: Path, targets: list[dict[str, object]], expected: str
) -> None:
    """Checking and running refuse it alike."""
    medic = Medic(tmp_path, targets=targets)
    for arguments in (("run",), ("run", "--config.check"), ("doctor",)):
        answer = medic.command(*arguments)
        assert answer.returncode == 2
        assert "restate-medic.yaml:1:" in answer.stderr
        assert expected in answer.stderr


def test_a_ledger_that_cannot_be_written_holds_every_policy_and_watching_goes_on(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """No ledger, no action: locked at first, then free, and the heal happens after all."""
    restate, worker, target = registered(fresh_restate(), worker_factory)
    medic = Medic(tmp_path, targets=[target], policies=[re_register()])
    with medic:
        lock = sqlite3.connect(tmp_path / "data" / "medic.db", isolation_level=None, timeout=30)
        lock.execute("BEGIN EXCLUSIVE")
        worker.roll([GREETER, ServiceSpec("Billing", handlers=("charge",))])
        medic.wait_for(lambda: medic.holds("re-register") == {"ledger_unavailable"}, "the hold", 60)
        medic.wait_for(
            lambda: (medic.sample("ledger_write_failures_total") or 0) >= 1, "the metric"
        )
        assert medic.sample("up", target="prod") == 1
        assert "Billing" not in restate.exposed()
        lock.execute("ROLLBACK")
        lock.close()
        medic.wait_for(lambda: "Billing" in restate.exposed(), "the heal after all")


def test_one_scrape_is_served_in_both_formats(each_restate: RestateServer, tmp_path: Path) -> None:
    """Text by default, OpenMetrics on request, gzip when asked, never a 500 on a strange Accept."""
    with Medic(tmp_path, targets=[target_of(each_restate)]) as medic:
        assert medic.get("/metrics").headers["content-type"].startswith("text/plain; version=0.0.4")
        accept = "application/openmetrics-text;version=1.0.0"
        openmetrics = medic.get("/metrics", accept=accept)
        assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
        assert openmetrics.text.endswith("# EOF\n")
        assert medic.get("/metrics", accept="text/plain;version=abc;q=zz").is_success


def test_when_the_admin_token_expires_is_exported_and_read_again(
    each_restate: RestateServer, tmp_path: Path
) -> None:
    """Of a JWT; a rotated one counts after a reload, and what is none takes the series away."""
    name, secret = "admin_token_expiry_timestamp_seconds", tmp_path / "secret"
    secret.write_text(jwt({"exp": 1_900_000_000}))
    target = target_of(each_restate, admin_token={"file": str(secret)})
    with Medic(tmp_path / "medic", targets=[target]) as medic:
        medic.wait_for(lambda: medic.sample(name, target="prod") == 1_900_000_000, "its expiry")
        secret.write_text(jwt({"exp": 1_950_000_000}))
        assert medic.post("/-/reload").status_code == httpx.codes.OK
        medic.wait_for(lambda: medic.sample(name, target="prod") == 1_950_000_000, "the new one")
        secret.write_text("eyJ.malformed.x")
        assert medic.post("/-/reload").status_code == httpx.codes.OK
        medic.wait_for(lambda: medic.sample(name, target="prod") is None, "it to go")
        secret.write_text("key_hunter2hunter2")
        assert medic.post("/-/reload").status_code == httpx.codes.OK
        notes = medic.wait_for(lambda: medic.events("config.note"), "the note")
    assert "is an API key (key_…)" in notes[-1]["note"]
    assert "hunter2" not in medic.log.read_text()
