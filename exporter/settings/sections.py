"""The smaller sections of the configuration file."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from exporter.ledger.sealing import ChainKey, ChainKeys
from exporter.model.operation import Window
from exporter.model.target import is_placeholder
from exporter.notify import split_webhook
from exporter.policy.fields import Period
from exporter.settings.fields import Duration, Interval, Keeping, Kind
from exporter.settings.secrets import SecretRef, Section

DEFAULT_STORAGE = "sqlite:///data/medic.db"


class LimitSettings(Section):
    """A limit over everything policies do, on every target together."""

    max: int = Field(ge=0)
    """How many operations; 0 allows none."""
    per: Annotated[Period, Kind("duration or `forever`")]
    """In what time before now they are counted."""

    @property
    def window(self) -> Window:
        """The same as the engine counts it."""
        return Window("global", self.max, self.per)


class NotifierSettings(Section):
    """Where people are told something."""

    webhook: SecretRef
    """Where the URL that messages are posted to is kept: whoever has it can post there."""
    format: Literal["slack", "json"] = "slack"
    """``{"text": …}``, which Mattermost and others take as well; or the parts by name."""

    @field_validator("webhook")
    @classmethod
    def _a_url(cls, ref: SecretRef) -> SecretRef:
        url = ref.read()
        split_webhook(url)
        if is_placeholder(url):
            raise ValueError("the webhook's secret is a placeholder; write the real URL there")
        return ref


_SHORTEST_KEY = 32


def _long_enough(ref: SecretRef) -> None:
    if len(ref.read()) < _SHORTEST_KEY:
        msg = (
            f"the key is too short; write {_SHORTEST_KEY} characters or more: openssl rand -hex 32"
        )
        raise ValueError(msg)


def _key(ref: SecretRef) -> ChainKey:
    return ChainKey(ref.read().encode())


class StorageSettings(Section):
    """The ledger's database."""

    url: str = DEFAULT_STORAGE
    """``sqlite:///FILE``, relative to the configuration (four slashes: absolute), or
    ``postgresql://USER@HOST/NAME``; the password is best left to ``PGPASSFILE``."""
    hmac_key: SecretRef | None = None
    """With it, nobody who may write to the database alone can write the chain anew."""
    old_hmac_keys: tuple[SecretRef, ...] = ()
    """Those that entries were written with before, to check these."""
    keep: Keeping | None = None
    """For how long what nothing rests on is kept; without it, for ever. Taken over by a reload."""

    @field_validator("hmac_key")
    @classmethod
    def _a_key(cls, ref: SecretRef | None) -> SecretRef | None:
        if ref is not None:
            _long_enough(ref)
        return ref

    @field_validator("old_hmac_keys")
    @classmethod
    def _keys(cls, refs: tuple[SecretRef, ...]) -> tuple[SecretRef, ...]:
        for ref in refs:
            _long_enough(ref)
        return refs

    @property
    def place(self) -> StorageSettings:
        """The same without what a reload takes over."""
        return self.model_copy(update={"keep": None})

    @property
    def keys(self) -> ChainKeys:
        """The keys themselves, read now. ValueError when one is not there any more."""
        current = None if self.hmac_key is None else _key(self.hmac_key)
        return ChainKeys(current, tuple(map(_key, self.old_hmac_keys)))

    @field_validator("url")
    @classmethod
    def _known_database(cls, url: str) -> str:
        _, scheme, rest = url.partition("sqlite:///")
        file = bool(scheme) and bool(rest) and not rest.endswith(("/", ":memory:"))
        if not file and not url.startswith("postgresql://"):
            msg = "is no database; write sqlite:///path/to/medic.db or postgresql://host/name"
            raise ValueError(msg)
        return url


_SIZE = re.compile(r"(?P<number>[0-9]+) ?(?P<unit>[kKMGT]?)i?B?")
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_LEAST_BYTES = 1_000_000


def _bytes(value: object) -> int:
    found = _SIZE.fullmatch(str(value).strip())
    size = 0 if found is None else int(found["number"]) * _UNITS[found["unit"].lower()]
    if size < _LEAST_BYTES:
        msg = f"{value!r} is no size of 1 MB or more; write one such as 500MB or 1GB"
        raise ValueError(msg)
    return size


class HistorySettings(Section):
    """How much of what was read is kept, for ``policy replay``."""

    enabled: bool = True
    """Whether anything is kept."""
    keep: Duration = timedelta(days=7)
    """For how long."""
    max_bytes: Annotated[int, BeforeValidator(_bytes), Kind("size, `1MB` or more")] = 10**9
    """How large it may grow, all targets together; then the oldest goes first."""
    write_every: Interval = timedelta(seconds=30)
    """How much of it a crash may lose."""
