"""The ledger's tables. The migrations make exactly these; a test compares them.

``entries`` is the record: append-only and chained. ``operations`` is where each operation stands
now, so that locks, budgets and lists need no replay.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

from exporter.ledger.columns import BIG, JsonText, UtcTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

head = Table(
    "head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", BIG, nullable=False),
    Column("hash", Text, nullable=False),
    # The id of the key that hashes are made with, if there is one.
    Column("key", Text),
    CheckConstraint("id = 1", name="one_row"),
)
"""One row: the newest entry. Whoever writes locks it first."""

operations = Table(
    "operations",
    metadata,
    Column("id", Text, primary_key=True),
    # The entry that opened it: the order in which operations came, whatever the clock did.
    Column("seq", BIG, nullable=False, unique=True),
    Column("target", Text, nullable=False),
    Column("remedy", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("policy", Text),
    Column("revision", Text),
    Column("mode", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("outcome", Text),
    Column("created_at", UtcTime, nullable=False),
    # When budgets count it; null when they do not.
    Column("counted_at", UtcTime),
    # The last moment at which it may have written, for the cooldown; null when it cannot have.
    Column("touched_at", UtcTime),
    Column("acted_at", UtcTime),
    Column("finished_at", UtcTime),
    # The target while it is open and locking: the lock itself.
    Column("locks", Text, unique=True),
    Column("owner", Text),
    # Of what waits for approval: until when it stands.
    Column("lease_until", UtcTime),
    Column("arguments", JsonText, nullable=False),
    Column("item_keys", JsonText, nullable=False),
    Column("values_seen", JsonText, nullable=False),
    Column("reason", Text, nullable=False),
    Column("allowed", JsonText, nullable=False),
    Column("before", JsonText, nullable=False),
    Column("after", JsonText, nullable=False),
    Column("partial", Boolean, nullable=False),
    Column("summary", Text, nullable=False),
    Column("error", Text),
    Column("request_id", Text),
    Column("approved_by", Text),
    Column("approved_at", UtcTime),
    # When a reading showed that its success did not last, and the entry that tells it.
    Column("relapsed_at", UtcTime),
    Column("relapsed_seq", BIG),
    # Of a person who came through the HTTP interface: the key's role, the route, when they asked.
    Column("role", Text),
    Column("route", Text),
    Column("asked_at", UtcTime),
    CheckConstraint("(phase = 'closed') = (outcome IS NOT NULL)", name="outcome"),
    CheckConstraint("locks IS NULL OR (locks = target AND outcome IS NULL)", name="locks"),
    Index(None, "target", "remedy", "counted_at"),
    Index(None, "target", "remedy", "touched_at"),
    Index(None, "policy", "counted_at"),
    Index(None, "counted_at"),
    Index(None, "created_at"),
    Index(None, "phase"),
)

operation_items = Table(
    "operation_items",
    metadata,
    Column("operation_id", Text, ForeignKey("operations.id"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("outcome", Text),
    Column("detail", Text, nullable=False),
    Column("at", UtcTime),
    Index(None, "key"),
)

entries = Table(
    "entries",
    metadata,
    Column("seq", BIG, primary_key=True, autoincrement=False),
    Column("operation_id", Text, ForeignKey("operations.id"), index=True),
    Column("kind", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("body", Text, nullable=False),
    Column("prev_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
)

decisions = Table(
    "decisions",
    metadata,
    Column("seq", BIG, ForeignKey("entries.seq"), primary_key=True, autoincrement=False),
    Column("at", UtcTime, nullable=False),
    Column("policy", Text, nullable=False),
    Column("target", Text, nullable=False),
    # Empty when the decision is about the target as a whole.
    Column("item", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("values_seen", JsonText, nullable=False),
    Index(None, "policy", "target", "item", "seq"),
    Index(None, "target", "seq"),
)


def _made_by_entry() -> Column[int]:
    """The number of the entry that made the row, which is its name too."""
    return Column("seq", BIG, ForeignKey("entries.seq"), primary_key=True, autoincrement=False)


pauses = Table(
    "pauses",
    metadata,
    _made_by_entry(),
    Column("scope", Text, nullable=False),
    # The target's or the policy's; empty for everything.
    Column("name", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime),
    Column("lifted_at", UtcTime),
    Column("lifted_by", Text),
)

resets = Table(
    "resets",
    metadata,
    _made_by_entry(),
    Column("at", UtcTime, nullable=False),
    # Target and remedy, or the policy everywhere; what is not meant is empty.
    Column("target", Text, nullable=False),
    Column("remedy", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

identities = Table(
    "identities",
    metadata,
    _made_by_entry(),
    Column("at", UtcTime, nullable=False),
    Column("target", Text, nullable=False),
    Column("cluster", Text),
    Column("deployments", JsonText, nullable=False),
    # Who accepted a change; null when it was no more than a rollout.
    Column("accepted_by", Text),
    Column("reason", Text, nullable=False),
    Index(None, "target", "seq"),
)

api_keys = Table(
    "api_keys",
    metadata,
    _made_by_entry(),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    # The hash of the key, which itself is kept nowhere.
    Column("digest", Text, nullable=False, unique=True),
    Column("created_at", UtcTime, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("revoked_at", UtcTime),
    Column("revoked_by", Text),
)

reports = Table(
    "reports",
    metadata,
    _made_by_entry(),
    Column("at", UtcTime, nullable=False),
    # The date in the report's time zone; who sends it, to whom, and what it is about.
    Column("day", Text, nullable=False),
    Column("notifier", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("since", UtcTime, nullable=False),
    Column("until", UtcTime, nullable=False),
    Column("told_at", UtcTime),
    Column("outcome", Text),
)

leases = Table(
    "leases",
    metadata,
    Column("shard", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("epoch", BIG, nullable=False),
    # By the database's clock, not by anybody's own.
    Column("until", UtcTime, nullable=False),
)
"""Who acts for a shard of the targets. Renewing leaves no entry; changing hands does."""

history = Table(
    "history",
    metadata,
    Column("id", BIG, primary_key=True, autoincrement=True),
    # Which run of the daemon, of which target (empty: of all), and the how manieth block of that.
    Column("boot", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("began", UtcTime, nullable=False),
    Column("ended", UtcTime, nullable=False),
    Column("frames", Integer, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    UniqueConstraint("boot", "stream", "number"),
    Index(None, "stream", "ended"),
    Index(None, "ended"),
)
"""What rounds saw, in blocks (``exporter.history``). No part of the chain: it proves nothing."""
