"""What rounds saw, in blocks, so that policies can be replayed over it.

A migration never changes once released, so it names its types itself instead of importing them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "history",
        sa.Column("id", _BIG, autoincrement=True, nullable=False),
        sa.Column("boot", sa.Text, nullable=False),
        sa.Column("stream", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("began", _TIME, nullable=False),
        sa.Column("ended", _TIME, nullable=False),
        sa.Column("frames", sa.Integer, nullable=False),
        sa.Column("bytes", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_history")),
        sa.UniqueConstraint("boot", "stream", "number", name=op.f("uq_history_boot_stream_number")),
    )
    op.create_index(op.f("ix_history_stream_ended"), "history", ["stream", "ended"])
    op.create_index(op.f("ix_history_ended"), "history", ["ended"])


def downgrade() -> None:
    op.drop_table("history")
