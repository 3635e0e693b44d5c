"""What commands say that need a Restate itself, of a target behind a remote operator API."""

from __future__ import annotations

from exporter.model.errors import RefusedError
from exporter.settings.load import Configuration


def refuse_remote(command: str, configuration: Configuration, name: str) -> None:
    """RefusedError for a target that is reached through ``dalp``."""
    target = next(t for t in configuration.targets if t.name == name)
    if target.kind == "dalp":
        msg = (
            f"{command} asks Restate itself, and {name} is reached through a remote operator API: "
            "run it where that is configured"
        )
        raise RefusedError("remedy-unsupported", msg)
