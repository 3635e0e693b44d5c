"""Generated requests against a running daemon: every answer is a documented one.

The document is the daemon's own, the requests are schemathesis': fitting ones and broken ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.result import Ok

from exporter.wire.operator import PREFIX
from lab import ServiceSpec
from tests.integration.engine import Yard, nothing_changes, open_yard
from tests.medic import Medic, target_of

API = "/api/v1"
LISTS = tuple(
    f"{API}/{name}"
    for name in ("targets", "policies", "decisions", "operations", "pauses", "breakers")
)
_BOUNDED = settings(
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
load_all_checks()
_CHECKS = CHECKS.get_by_names(
    ["status_code_conformance", "content_type_conformance", "response_schema_conformance"]
)


@pytest.fixture(scope="module")
def yard() -> Iterator[Yard]:
    with open_yard(ServiceSpec("Greeter"), ServiceSpec("Signup", "workflow")) as opened:
        opened.restate.register(opened.worker.url)
        yield opened


@pytest.fixture(scope="module")
def medic(yard: Yard, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Medic]:
    """A daemon on a real Restate."""
    target = target_of(yard.restate, service_url=yard.worker.url)
    with Medic(tmp_path_factory.mktemp("medic"), targets=[target]) as running:
        yield running


def answers(
    medic: Medic, *, key: str | None, examples: int, under: str = "/"
) -> list[tuple[str, str, int]]:
    """Ask every operation many things; method, path and status of each, all of them documented."""
    document = schemathesis.openapi.from_url(medic.url("/openapi.json"))
    bounds = settings(_BOUNDED, max_examples=examples)
    seen: list[tuple[str, str, int]] = []
    with requests.Session() as session:
        session.trust_env = False
        for found in document.get_all_operations():
            assert isinstance(found, Ok), found
            for mode in GenerationMode:
                if found.ok().path.startswith(under):
                    _ask(found.ok(), mode, session, key, seen, bounds)
    return seen


def _ask(
    operation: Any,
    mode: GenerationMode,
    session: requests.Session,
    key: str | None,
    seen: list[tuple[str, str, int]],
    bounds: settings,
) -> None:
    if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query):
        return  # there is nothing to get wrong that would still be this operation

    @bounds
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        keys = {"x-api-key", "authorization"}
        own = {k: v for k, v in (case.headers or {}).items() if k.lower() not in keys}
        case.headers = own | ({} if key is None else {"X-Api-Key": key})
        answer = case.call(session=session)
        case.validate_response(answer, checks=_CHECKS)
        seen.append((operation.method.upper(), operation.path, answer.status_code))

    ask()


def test_an_operator_gets_documented_answers_only(yard: Yard, tmp_path: Path) -> None:
    """Whatever is sent; a Restate that cannot be reached answers for what fits."""
    target = target_of(yard.restate) | {"admin_url": "http://127.0.0.1:1"}
    with Medic(tmp_path, targets=[target]) as medic:
        seen = answers(medic, key=medic.key(), examples=10)
    operator = {(path, status) for _, path, status in seen if path.startswith(PREFIX)}
    routes = {path for path, _ in operator}
    assert len(routes) == 4
    for path in routes:
        assert (path, 422) in operator
        assert (path, 200 if path.endswith("doctor") else 503) in operator
    for path in LISTS:
        assert {code for _, at, code in seen if at == path} >= {200, 422}
    assert {code for method, at, code in seen if (method, at) == ("POST", f"{API}/pauses")} >= {
        *(201, 422),
    }
    assert not [one for one in seen if one[2] >= 500 and not one[1].startswith(PREFIX)]
    assert not [one for one in seen if one[2] == 500]


@pytest.mark.parametrize(("role", "status", "under"), [(None, 401, "/"), ("viewer", 403, "/api/")])
def test_nobody_else_writes(
    medic: Medic, yard: Yard, role: str | None, status: int, under: str
) -> None:
    """Without an operator's key no route that writes or steers is reached, and nothing changes."""
    key = None if role is None else medic.key(role, role)
    with nothing_changes(yard.restate):
        seen = answers(medic, key=key, examples=4, under=under)
    steering = {(method, path, code) for method, path, code in seen if method != "GET"}
    assert {code for _, path, code in steering if path.startswith("/api/")} == {status}
    assert len({(method, path) for method, path, _ in steering if path.startswith(API)}) == 10
    assert {code for method, _, code in seen if method == "GET"} <= {200, 404, 422}
    assert medic.operations() == []
    assert medic.get(f"{API}/pauses").json()["pauses"] == []
