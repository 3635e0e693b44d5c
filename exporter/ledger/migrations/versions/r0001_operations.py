"""Operations, their items, the chained entries, and decisions.

A migration never changes once released, so it names its types itself instead of importing them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_GENESIS = "0" * 64
_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    head = op.create_table(
        "head",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("seq", _BIG, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_head")),
        sa.CheckConstraint("id = 1", name=op.f("ck_head_one_row")),
    )
    op.bulk_insert(head, [{"id": 1, "seq": 0, "hash": _GENESIS}])
    _operations()
    op.create_table(
        "operation_items",
        sa.Column("operation_id", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("outcome", sa.Text),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("at", _TIME),
        sa.PrimaryKeyConstraint("operation_id", "key", name=op.f("pk_operation_items")),
        sa.ForeignKeyConstraint(
            ["operation_id"], ["operations.id"], name=op.f("fk_operation_items_operation_id")
        ),
    )
    op.create_index("ix_operation_items_key", "operation_items", ["key"])
    _entries_and_decisions()


def _operations() -> None:
    op.create_table(
        "operations",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("seq", _BIG, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("remedy", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("policy", sa.Text),
        sa.Column("revision", sa.Text),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("phase", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("counted_at", _TIME),
        sa.Column("touched_at", _TIME),
        sa.Column("acted_at", _TIME),
        sa.Column("finished_at", _TIME),
        sa.Column("locks", sa.Text),
        sa.Column("owner", sa.Text),
        sa.Column("lease_until", _TIME),
        sa.Column("arguments", sa.Text, nullable=False),
        sa.Column("item_keys", sa.Text, nullable=False),
        sa.Column("values_seen", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("allowed", sa.Text, nullable=False),
        sa.Column("before", sa.Text, nullable=False),
        sa.Column("after", sa.Text, nullable=False),
        sa.Column("partial", sa.Boolean, nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("request_id", sa.Text),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operations")),
        sa.UniqueConstraint("seq", name=op.f("uq_operations_seq")),
        sa.UniqueConstraint("locks", name=op.f("uq_operations_locks")),
        sa.CheckConstraint(
            "(phase = 'closed') = (outcome IS NOT NULL)", name=op.f("ck_operations_outcome")
        ),
        sa.CheckConstraint(
            "locks IS NULL OR (locks = target AND outcome IS NULL)",
            name=op.f("ck_operations_locks"),
        ),
    )
    for columns in (
        ["target", "remedy", "counted_at"],
        ["target", "remedy", "touched_at"],
        ["policy", "counted_at"],
        ["counted_at"],
        ["created_at"],
    ):
        op.create_index(f"ix_operations_{'_'.join(columns)}", "operations", columns)


def _entries_and_decisions() -> None:
    op.create_table(
        "entries",
        sa.Column("seq", _BIG, autoincrement=False, nullable=False),
        sa.Column("operation_id", sa.Text),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("prev_hash", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_entries")),
        sa.ForeignKeyConstraint(
            ["operation_id"], ["operations.id"], name=op.f("fk_entries_operation_id")
        ),
    )
    op.create_index("ix_entries_operation_id", "entries", ["operation_id"])
    op.create_table(
        "decisions",
        sa.Column("seq", _BIG, autoincrement=False, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("item", sa.Text, nullable=False),
        sa.Column("result", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("values_seen", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_decisions")),
        sa.ForeignKeyConstraint(["seq"], ["entries.seq"], name=op.f("fk_decisions_seq")),
    )
    op.create_index(
        "ix_decisions_policy_target_item_seq", "decisions", ["policy", "target", "item", "seq"]
    )
    op.create_index("ix_decisions_target_seq", "decisions", ["target", "seq"])


def downgrade() -> None:
    for table in ("decisions", "entries", "operation_items", "operations", "head"):
        op.drop_table(table)
