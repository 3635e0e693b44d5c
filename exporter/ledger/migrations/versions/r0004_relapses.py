"""Operations whose success did not last.

A migration never changes once released, so it names its types itself instead of importing them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("operations", sa.Column("relapsed_at", sa.DateTime(timezone=True)))
    op.add_column("operations", sa.Column("relapsed_seq", _BIG))


def downgrade() -> None:
    for name in ("relapsed_seq", "relapsed_at"):
        op.drop_column("operations", name)
