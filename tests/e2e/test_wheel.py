"""The built wheel, installed into an empty virtual environment, heals as the checkout does."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.integration.rolled import BILLING, GREETER, re_register, registered
from tests.medic import Medic
from tests.support import ServerFactory, WorkerFactory

ROOT = Path(__file__).parents[2]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The ``restate-medic`` command of a fresh environment that holds only the wheel."""
    wheels, home = tmp_path / "wheels", tmp_path / "venv"
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
