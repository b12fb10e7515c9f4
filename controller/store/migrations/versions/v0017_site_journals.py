"""What sites have acknowledged, and by which life of their journals."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Make the table; it fills as sites are heard of."""
    op.create_table(
        "site_journals",
        sa.Column("site", sa.String(length=64), nullable=False),
        sa.Column("epoch", sa.String(length=200), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["site"], ["sites.name"], name="fk_site_journals_site_sites"),
        sa.PrimaryKeyConstraint("site", name="pk_site_journals"),
    )


def downgrade() -> None:
    """Take the table away."""
    op.drop_table("site_journals")
