"""The built wheel, installed into an empty virtual environment, does what the checkout does."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from exporter import __version__
from tests.integration.rolled import BILLING, GREETER, re_register, registered
from tests.medic import Medic
from tests.support import ServerFactory, WorkerFactory

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``restate-medic`` command of a fresh environment that holds only the wheel."""
    folder = tmp_path_factory.mktemp("installed")
    wheels, home = folder / "wheels", folder / "venv"
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(wheels)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)
    (wheel,) = wheels.glob("restate_medic-*.whl")
    venv.create(home, with_pip=True)
    pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    pip += ["--disable-pip-version-check"]
    lock = str(ROOT / "requirements.lock")
    subprocess.run([*pip, "--require-hashes", "-r", lock], check=True, capture_output=True)
    subprocess.run([*pip, "--no-deps", str(wheel)], check=True, capture_output=True)
    return home / "bin" / "restate-medic"


@pytest.mark.timeout(300)
def test_the_version_stands_in_one_place(installed: Path, tmp_path: Path) -> None:
    """What the package says, pip says, and the command says."""
    python = str(installed.with_name("python"))
    query = "from importlib.metadata import version; print(version('restate-medic'))"
    said = subprocess.run(
        [python, "-c", query], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    told = subprocess.run(
        [str(installed), "--version"], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    assert said.stdout.strip() == __version__
    assert __version__ in told.stdout


@pytest.mark.timeout(300)
def test_the_shipped_policies_come_with_the_wheel(installed: Path, tmp_path: Path) -> None:
    """``policy copy`` brings them where the configuration looks, and they are good."""
    (tmp_path / "restate-medic.yaml").write_text(
        '{"targets": [{"name": "prod", "ingress_url": "http://restate:8080",'
        ' "admin_url": "http://restate:9070"}]}'
    )

    def command(*arguments: str) -> str:
        return subprocess.run(
            [str(installed), *arguments], check=True, capture_output=True, text=True, cwd=tmp_path
        ).stdout

    shipped = ROOT / "policies"
    copied = {Path(line) for line in command("policy", "copy").splitlines()}
    wanted = [*shipped.glob("*.*"), *shipped.glob("tests/*.yaml")]
    assert copied == {path.relative_to(ROOT) for path in wanted}
    assert "9 passed, 0 failed" in command("policy", "test", "policies/tests/missing-services.yaml")
    files = len(list((tmp_path / "policies").glob("*.yaml")))
    checked = command("run", "--config.check", "--config.file=restate-medic.yaml")
    assert f"1 target, {files} policies" in checked
    for schema in ("policy.schema.json", "tests.schema.json"):
        assert (tmp_path / "policies" / schema).read_text() == (shipped / schema).read_text()


@pytest.mark.timeout(300)
def test_the_wheel_heals_with_only_a_configuration_and_a_policy_beside_it(
    installed: Path, fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """Templates and migrations are inside; nothing of the checkout is needed."""
    restate, worker, target = registered(fresh_restate(), worker_factory)
    medic = Medic(
        tmp_path / "etc",
        targets=[target],
        policies=[re_register()],
        program=(str(installed),),
        checkout=False,
    )
    with medic:
        assert medic.get("/").is_success
        worker.roll([GREETER, BILLING])
        medic.wait_for(lambda: "Billing" in restate.exposed(), "the heal")
        medic.wait_for(lambda: medic.operations()[0]["outcome"] == "verified", "verification")
