"""The OpenAPI document: what it says of the four routes is what is documented, and what is so."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.metrics import Exposition
from exporter.metrics.exposition import new_registry
from exporter.web import ReloadResult, WebStatus, build_web
from exporter.wire.operator import PREFIX, Code
from tests.benchmarks.synthetic import START
from tests.doors import open_doors

ROUTES = {
    "doctor": {},
    "force-redeploy": {"serviceUrl": True, "force": False},
    "cleanup-stale-deployments": {"serviceUrl": True, "forceDrain": False},
    "recover-stuck-workflow": {"serviceName": True, "serviceKey": True},
}
"""The documented fields of each body, and whether each is required."""


async def reload() -> ReloadResult:
    return ReloadResult()


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    app = build_web(
        exposition=Exposition(registry=new_registry()),
        status=lambda: WebStatus(START, ready=True),
        reload=reload,
        **open_doors(),
    )
    found: dict[str, Any] = app.openapi()
    return found


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    found: dict[str, Any] = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def body_of(document: dict[str, Any], route: str) -> dict[str, Any]:
    operation = document["paths"][f"{PREFIX}/{route}"]["post"]
    assert operation["requestBody"]["required"] is True
    return resolved(document, operation["requestBody"]["content"]["application/json"]["schema"])


@pytest.mark.parametrize("route", ROUTES)
def test_bodies_are_the_documented_ones(document: dict[str, Any], route: str) -> None:
    """Field names, what is required, and nothing beside: an unknown field is refused."""
    schema, fields = body_of(document, route), ROUTES[route]
    assert set(schema.get("required", [])) == {name for name, needed in fields.items() if needed}
    assert fields.keys() <= schema["properties"].keys()
    assert schema["properties"].keys() - fields.keys() <= {"allow", "maxKills", "reason"}
    assert schema["additionalProperties"] is False


def test_defaults_and_constraints_are_the_documented_ones(document: dict[str, Any]) -> None:
    """``force`` is true, ``forceDrain`` false, names are letters, digits, dash and underscore."""
    assert body_of(document, "force-redeploy")["properties"]["force"]["default"] is True
    assert body_of(document, "cleanup-stale-deployments")["properties"]["forceDrain"] == {
        **body_of(document, "cleanup-stale-deployments")["properties"]["forceDrain"],
        "type": "boolean",
        "default": False,
    }
    recover = body_of(document, "recover-stuck-workflow")["properties"]
    for name in ("serviceName", "serviceKey"):
        assert recover[name]["pattern"] == "^[a-zA-Z0-9_-]+$"


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_documents_key_errors_and_target(document: dict[str, Any], route: str) -> None:
    """The header, the query, each status with the one shape of errors."""
    operation = document["paths"][f"{PREFIX}/{route}"]["post"]
    (scheme,) = operation["security"]
    (name,) = scheme
    declared = document["components"]["securitySchemes"][name]
    assert declared["type"] == "apiKey"
    assert (declared["in"], declared["name"]) == ("header", "X-Api-Key")
    parameters = {(p["in"], p["name"]) for p in operation["parameters"]}
    assert parameters == {("query", "target"), ("header", "X-Reason")}
    statuses = {"200", "401", "403", "404", "413", "422", "429", "500", "503"}
    if route != "doctor":
        statuses |= {"409", "502"}
    assert set(operation["responses"]) == statuses
    for status, answer in operation["responses"].items():
        if status != "200":
            schema = resolved(document, answer["content"]["application/json"]["schema"])
            assert list(schema["properties"]) == ["code", "message", "data", "requestId"]


def test_every_error_is_documented_in_our_shape(document: dict[str, Any]) -> None:
    """The framework's own error bodies are promised nowhere."""
    assert "HTTPValidationError" not in document["components"]["schemas"]
    codes = document["components"]["schemas"]["Code"]["enum"]
    assert set(codes) == set(Code)
