"""Where secrets are kept, and reading them: never the secret itself in the configuration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused.

    What stands under a key, in its source, is what the reference says about it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class SecretRef(Section):
    """Where a secret is kept: ``{env: NAME}`` or ``{file: PATH}``. Never the secret itself."""

    env: str | None = None
    """The environment variable that holds it."""
    file: Path | None = None
    """The file that holds it and nothing else; white space around it is left out."""

    @model_validator(mode="before")
    @classmethod
    def _no_literal(cls, data: object) -> object:
        if isinstance(data, str):
            msg = "a secret is never written here; write {env: NAME} or {file: PATH}"
            raise ValueError(msg)  # noqa: TRY004 - pydantic turns only ValueError into a problem
        return data

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.env is None) == (self.file is None):
            msg = "write exactly one of {env: NAME} and {file: PATH}"
            raise ValueError(msg)
        return self

    def read(self) -> str:
        """Read the secret now. ValueError says what is missing, never what it contained."""
        if self.env is not None:
            value = os.environ.get(self.env, "").strip()
            if not value:
                msg = f"the environment variable {self.env} is not set"
                raise ValueError(msg)
            return value
        try:
            value = Path(str(self.file)).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            msg = f"the secret file {self.file} cannot be read: {type(error).__name__}"
            raise ValueError(msg) from error
        if not value:
            msg = f"the secret file {self.file} is empty"
            raise ValueError(msg)
        return value


class TokenSource:
    """A bearer token that is read again when asked: secret files are rotated under us."""

    def __init__(self, ref: SecretRef | None) -> None:
        self._ref = ref
        self._value = ref.read() if ref is not None else None

    def __call__(self) -> str | None:
        """The token as last read; None when the target needs none."""
        return self._value

    def refresh(self) -> None:
        """Read the secret again; one that cannot be read keeps the old value."""
        if self._ref is not None:
            try:
                self._value = self._ref.read()
            except ValueError:
                return
