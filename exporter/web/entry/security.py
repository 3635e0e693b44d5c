"""How a key is sent, for the OpenAPI document. Looking at keys is the gate's."""

from __future__ import annotations

from fastapi.security import APIKeyHeader, HTTPBearer

key_header = APIKeyHeader(
    name="X-Api-Key",
    auto_error=False,
    description="Made with `restate-medic key new NAME --role viewer` (or `operator`).",
)
bearer_header = HTTPBearer(
    auto_error=False,
    description="The same key as a bearer token, for Alertmanager.",
)
