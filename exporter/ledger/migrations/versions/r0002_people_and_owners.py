"""Pauses, breakers that were reset, identities of targets, and who owns a shard of them.

A migration never changes once released, so it names its types itself instead of importing them.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    _chained(
        "pauses",
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME),
        sa.Column("lifted_at", _TIME),
        sa.Column("lifted_by", sa.Text),
    )
    _chained(
        "resets",
        sa.Column("at", _TIME, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("remedy", sa.Text, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    _chained(
        "identities",
        sa.Column("at", _TIME, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("cluster", sa.Text),
        sa.Column("deployments", sa.Text, nullable=False),
        sa.Column("accepted_by", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_index("ix_identities_target_seq", "identities", ["target", "seq"])
    op.create_table(
        "leases",
        sa.Column("shard", sa.Text, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("epoch", _BIG, nullable=False),
        sa.Column("until", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("shard", name=op.f("pk_leases")),
    )


def _chained(name: str, *columns: sa.Column[Any]) -> None:
    """A table whose rows are each made by one entry of the chain."""
    op.create_table(
        name,
        sa.Column("seq", _BIG, autoincrement=False, nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("seq", name=op.f(f"pk_{name}")),
        sa.ForeignKeyConstraint(["seq"], ["entries.seq"], name=op.f(f"fk_{name}_seq")),
    )


def downgrade() -> None:
    for table in ("leases", "identities", "resets", "pauses"):
        op.drop_table(table)
