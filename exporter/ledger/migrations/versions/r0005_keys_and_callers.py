"""Keys of the HTTP interface, and through which route, with which role, and when a person asked.

A migration never changes once released, so it names its types itself instead of importing them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("seq", _BIG, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("revoked_at", _TIME),
        sa.Column("revoked_by", sa.Text),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_api_keys")),
        sa.ForeignKeyConstraint(["seq"], ["entries.seq"], name=op.f("fk_api_keys_seq")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_keys_digest")),
    )
    op.add_column("operations", sa.Column("role", sa.Text))
    op.add_column("operations", sa.Column("route", sa.Text))
    op.add_column("operations", sa.Column("asked_at", _TIME))


def downgrade() -> None:
    for column in ("asked_at", "route", "role"):
        op.drop_column("operations", column)
    op.drop_table("api_keys")
