"""Who approved a plan that waited for it, and when.

A migration never changes once released, so it names its types itself instead of importing them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("operations", sa.Column("approved_by", sa.Text))
    op.add_column("operations", sa.Column("approved_at", sa.DateTime(timezone=True)))
    op.create_index("ix_operations_phase", "operations", ["phase"])


def downgrade() -> None:
    op.drop_index("ix_operations_phase", "operations")
    op.drop_column("operations", "approved_at")
    op.drop_column("operations", "approved_by")
