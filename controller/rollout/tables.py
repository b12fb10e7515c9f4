"""Roll-outs on disk, and each site's tree: what the site is to have, by a roll-out's command."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from controller.store import SEQ, Base, UtcDateTime

ID = String(32)
HASH = String(64)
SITE = String(64)


class RolloutRow(Base):
    """The move of one account from one chunk to another; ``state`` as in ``rollout.states``.

    ``course``: :class:`controller.rollout.course.Course` as JSON. ``left_s``: the seconds left until its
    deadline (a gate's wait, a bake) when it was written: no clock that may jump is kept.
    """

    __tablename__ = "rollouts"
    __table_args__ = (Index("ix_rollouts_account", "account_id", "seq"),)

    seq: Mapped[int] = mapped_column(SEQ, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(ID, unique=True)
    change_set_id: Mapped[str] = mapped_column(ID, unique=True)
    account_id: Mapped[str] = mapped_column(ID)
    snapshot_id: Mapped[str] = mapped_column(HASH)
    from_hash: Mapped[str | None] = mapped_column(HASH)
    to_hash: Mapped[str] = mapped_column(HASH, ForeignKey("chunks.hash"))
    state: Mapped[str] = mapped_column(String(12), index=True)
    reason: Mapped[str] = mapped_column(String(2000), default="")
    lane: Mapped[str] = mapped_column(String(12), default="express")
    gated: Mapped[bool] = mapped_column(default=False)
    wave: Mapped[int] = mapped_column(default=0)
    course: Mapped[str] = mapped_column(Text, default="")
    left_s: Mapped[float | None] = mapped_column(default=None)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    modified_at: Mapped[datetime] = mapped_column(UtcDateTime)


class RolloutSiteRow(Base):
    """How far one roll-out is at one site."""

    __tablename__ = "rollout_sites"

    rollout_id: Mapped[str] = mapped_column(ID, ForeignKey("rollouts.id"), primary_key=True)
    site: Mapped[str] = mapped_column(SITE, primary_key=True)
    wave: Mapped[int] = mapped_column(default=0)
    state: Mapped[str] = mapped_column(String(12))
    reason: Mapped[str] = mapped_column(String(2000), default="")


class SiteRow(Base):
    """A site, and the highest generation that this store has given it.

    It is kept before the command is sent, and no higher: a site that has a higher one was given commands
    that this store does not know.
    """

    __tablename__ = "sites"

    name: Mapped[str] = mapped_column(SITE, primary_key=True)
    generation: Mapped[int] = mapped_column(BigInteger, default=0)


class SiteJournalRow(Base):
    """The newest journal of a site that this store has heard of: its life, and up to where it goes."""

    __tablename__ = "site_journals"

    site: Mapped[str] = mapped_column(SITE, ForeignKey("sites.name"), primary_key=True)
    epoch: Mapped[str] = mapped_column(String(200))
    generation: Mapped[int] = mapped_column(BigInteger)


class SiteConflictRow(Base):
    """A chunk that a site got by a command which this store never gave: from a newer copy of it, or another.

    As long as the row stands, nothing that would replace the chunk is sent (``rollout.delivery``).
    ``generation``: the site's, when it was found.
    """

    __tablename__ = "site_conflicts"

    site: Mapped[str] = mapped_column(SITE, ForeignKey("sites.name"), primary_key=True)
    account_id: Mapped[str] = mapped_column(ID, primary_key=True)
    hash: Mapped[str] = mapped_column(HASH)
    generation: Mapped[int] = mapped_column(BigInteger)
    since: Mapped[datetime] = mapped_column(UtcDateTime)


class SiteTreeRow(Base):
    """What one site is to have of one account, and by which roll-out."""

    __tablename__ = "site_trees"

    site: Mapped[str] = mapped_column(SITE, ForeignKey("sites.name"), primary_key=True)
    account_id: Mapped[str] = mapped_column(ID, primary_key=True)
    hash: Mapped[str] = mapped_column(HASH, ForeignKey("chunks.hash"))
    rollout_id: Mapped[str] = mapped_column(ID, ForeignKey("rollouts.id"))
