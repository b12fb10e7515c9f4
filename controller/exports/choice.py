"""Which tables an export has: all of the configured state, so that a table added later is in it, too."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Table

import controller.addressing.tables
import controller.rollout.tables
import controller.snapshots.tables
import controller.timeline.tables
from controller.store import Base

ROOMS = (
    controller.addressing.tables,
    controller.rollout.tables,
    controller.snapshots.tables,
    controller.timeline.tables,
)
"""Named here so that the metadata knows of every table."""

SECRETS = {
    "tokens": "hashes of bearer tokens: issue new ones, or export with secrets",
    "webhooks": "they are kept with what they sign with: make new ones, or export with secrets",
    "deliveries": "they go with their webhooks",
}
"""Left out unless secrets are asked for."""

LEFT_OUT = {
    "answers": "answers to idempotency keys: they belong to the tokens, and pass with time",
    "change_sets": "the operational state is exported by account; how it came about stays here",
    "chunks": "exported by account",
    "head": "exported by account",
    "snapshots": "the operational state's history",
    "snapshot_entries": "the operational state's history",
    "rollouts": "the operational state's history",
    "rollout_sites": "the operational state's history",
    "sites": "what this store gave which site: another one has not given it",
    "site_trees": "what this store gave which site",
    "site_conflicts": "found anew by the store that is opened",
}
"""Left out always, and why."""


def exported_tables(*, secrets: bool = False) -> tuple[Table, ...]:
    """Return the tables, each after those that it refers to."""
    skipped = set(LEFT_OUT) if secrets else set(LEFT_OUT) | set(SECRETS)
    return tuple(t for t in Base.metadata.sorted_tables if t.name not in skipped)


def left_out_tables(names: Iterable[str]) -> tuple[Table, ...]:
    """Return the tables of these names."""
    return tuple(Base.metadata.tables[name] for name in names)
