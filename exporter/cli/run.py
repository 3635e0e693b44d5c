"""``restate-medic run``: the daemon in the foreground."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from exporter.app.check import check as check_configuration
from exporter.app.open import utc_now
from exporter.cli.options import ConfigFile
from exporter.cli.output import err, friendly
from exporter.log import LogFormat, configure_logging
from exporter.settings.load import Configuration, load


@friendly
def run(
    *,
    config_file: ConfigFile = None,
    listen_address: Annotated[
        str | None,
        typer.Option(
            "--web.listen-address",
            help="host:port to serve on (127.0.0.1:9970).",
            metavar="ADDRESS",
            show_default=False,
        ),
    ] = None,
    telemetry_path: Annotated[
        str | None,
        typer.Option(
            "--web.telemetry-path",
            help="Where the metrics are (/metrics).",
            metavar="PATH",
            show_default=False,
        ),
    ] = None,
    web_config: Annotated[
        Path | None,
        typer.Option(
            "--web.config.file",
            help="TLS and passwords, as for Prometheus and its exporters.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    max_mode: Annotated[
        str | None,
        typer.Option(
            help="Lower every policy to this mode: off, observe, approve or enforce.",
            metavar="MODE",
            show_default=False,
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--config.check", help="Check configuration and policies, then exit.")
    ] = False,
    log_format: Annotated[
        LogFormat,
        typer.Option(
            "--log.format", help="json, pretty, or auto: pretty on a terminal.", metavar="FORMAT"
        ),
    ] = "auto",
) -> None:
    """Watch every target on a schedule, serve /metrics, and heal what policies allow.

    SIGHUP reloads the configuration; SIGTERM and Ctrl-C let a running operation finish, then exit.
    """
    flags = {
        "web_listen_address": listen_address,
        "web_telemetry_path": telemetry_path,
        "web_config_file": None if web_config is None else web_config.absolute(),
        "max_mode": max_mode,
    }

    def configure() -> Configuration:
        return load(config_file, flags={k: v for k, v in flags.items() if v is not None})

    configuration = configure()
    if check:
        checked = check_configuration(configuration)
        for note in configuration.notes(utc_now()):
            err.print(f"note: {note}", markup=False)
        targets, policies = len(configuration.targets), len(checked)
        typer.echo(
            f"ok: {targets} target{'' if targets == 1 else 's'},"
            f" {policies} polic{'y' if policies == 1 else 'ies'}"
        )
        return
    from exporter.daemon.run import run_daemon  # noqa: PLC0415 - the web server takes a second to import

    configure_logging(configuration.settings.log_level, log_format=log_format)
    raise typer.Exit(asyncio.run(run_daemon(configure)))
