"""The FastAPI application, built from what it serves. Running it is ``web.server``'s."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from fastapi import FastAPI

from exporter import __version__
from exporter.metrics.exposition import Exposition
from exporter.web.api.acts import act_routes
from exporter.web.api.clerk import Clerk
from exporter.web.api.control import control_routes
from exporter.web.api.desk import Desk
from exporter.web.api.errors import handle_errors
from exporter.web.api.explained import explain_routes
from exporter.web.api.operator import operator_routes
from exporter.web.api.order_lists import order_routes
from exporter.web.api.present import present_routes
from exporter.web.api.records import history_routes, operation_routes
from exporter.web.api.routes import health_routes, metrics_routes, reload_routes
from exporter.web.api.webhook import webhook_routes
from exporter.web.entry.access import Access
from exporter.web.entry.gate import Gate
from exporter.web.page.actions import action_routes
from exporter.web.page.audit import audit_routes
from exporter.web.page.login import login_routes
from exporter.web.page.render import Renderer
from exporter.web.page.routes import page_routes
from exporter.web.serving.envelope import Envelope
from exporter.web.status import ReloadResult, WebStatus


def build_web(  # noqa: PLR0913 - everything that is served
    *,
    exposition: Exposition,
    status: Callable[[], WebStatus],
    reload: Callable[[], Awaitable[ReloadResult]],
    desk: Desk,
    clerk: Clerk,
    access: Access,
    headers: Callable[[], Mapping[str, str]] = dict,
    version: str = __version__,
    telemetry_path: str = "/metrics",
) -> FastAPI:
    """Build the application. ``status`` is called for each request that shows something.

    ``access`` says who may come in; nothing is open that it does not open.

    There are no interactive API pages: theirs load scripts from elsewhere.
    """
    app = FastAPI(
        title="restate-medic",
        version=version,
        summary="Watches Restate, and repairs what a policy or a person asks for.",
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.include_router(metrics_routes(exposition, telemetry_path))
    app.include_router(health_routes(status))
    app.include_router(reload_routes(reload))
    app.include_router(present_routes(status))
    app.include_router(operation_routes(status, clerk.ledger, clerk.book))
    app.include_router(history_routes(status, clerk.ledger))
    app.include_router(explain_routes(status, clerk.explain))
    app.include_router(order_routes(status, clerk.book))
    app.include_router(control_routes(status, clerk))
    app.include_router(act_routes(status, clerk))
    app.include_router(webhook_routes(clerk))
    app.include_router(operator_routes(desk))
    renderer = Renderer(version=version, telemetry_path=telemetry_path)
    app.include_router(page_routes(status, clerk, renderer))
    app.include_router(audit_routes(status, clerk, renderer))
    app.include_router(login_routes(status, access, renderer))
    app.include_router(action_routes(status, clerk, renderer))
    handle_errors(app)
    app.add_middleware(Gate, access=access)
    app.add_middleware(Envelope, headers=headers)  # the outermost
    return app
