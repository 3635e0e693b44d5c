"""The FastAPI application, built from what it serves. Running it is ``web.server``'s."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import FastAPI

from exporter import __version__
from exporter.metrics.exposition import Exposition
from exporter.web.errors import handle_errors
from exporter.web.guard import Guard
from exporter.web.page import page_routes
from exporter.web.routes import decision_routes, health_routes, metrics_routes, reload_routes
from exporter.web.status import ReloadResult, WebStatus


def build_web(
    *,
    exposition: Exposition,
    status: Callable[[], WebStatus],
    reload: Callable[[], Awaitable[ReloadResult]],
    version: str = __version__,
    telemetry_path: str = "/metrics",
) -> FastAPI:
    """Build the application. ``status`` is called for each request that shows something.

    There are no interactive API pages: theirs load scripts from elsewhere.
    """
    app = FastAPI(
        title="restate-medic",
        version=version,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.include_router(metrics_routes(exposition, telemetry_path))
    app.include_router(health_routes(status))
    app.include_router(reload_routes(reload))
    app.include_router(decision_routes(status))
    app.include_router(page_routes(status, version=version, telemetry_path=telemetry_path))
    handle_errors(app)
    app.add_middleware(Guard)
    return app
