"""What the section ``alertmanager`` gives: whom to ask, how often, and as whom."""

from __future__ import annotations

from exporter.alertmanager import AlertmanagerApi, Source
from exporter.settings.alertmanager import AlertmanagerSettings
from exporter.settings.secrets import TokenSource
from exporter.transport import Transport, authorization


def build_source(written: AlertmanagerSettings | None, transport: Transport) -> Source | None:
    """The Alertmanager to ask; None when none is configured."""
    if written is None:
        return None
    secret = TokenSource(written.basic_auth.password if written.basic_auth else written.token)
    user = written.basic_auth.username if written.basic_auth else None
    api = AlertmanagerApi(
        transport,
        url=written.url,
        authorization=lambda: authorization(secret(), user),
        warm_up=written.warm_up,
        watchdog=written.watched,
    )
    return Source(
        written=written,
        api=api,
        interval=written.interval,
        max_age=written.max_age,
        silences=written.silences,
        refresh_secrets=secret.refresh,
    )
