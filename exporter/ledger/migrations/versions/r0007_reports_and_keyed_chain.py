"""Reports that were sent on a schedule, so that no day's is sent twice; the key of the chain.

A migration never changes once released, so it names its types itself instead of importing them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("head", sa.Column("key", sa.Text))
    op.create_table(
        "reports",
        sa.Column("seq", _BIG, autoincrement=False, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("day", sa.Text, nullable=False),
        sa.Column("notifier", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("since", _TIME, nullable=False),
        sa.Column("until", _TIME, nullable=False),
        sa.Column("told_at", _TIME),
        sa.Column("outcome", sa.Text),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_reports")),
        sa.ForeignKeyConstraint(["seq"], ["entries.seq"], name=op.f("fk_reports_seq")),
    )


def downgrade() -> None:
    op.drop_table("reports")
    op.drop_column("head", "key")
