"""Which tables an export has: all of the configured state, so that a table added later is in it, too."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

from sqlalchemy import Table

import controller
from controller.store import Base

HERE = Path(controller.__file__).parent
for _file in sorted(HERE.rglob("*tables.py")):  # the metadata knows of every room's tables then
    if _file.parts[-2] != "cli":
        import_module(".".join(("controller", *_file.relative_to(HERE).with_suffix("").parts)))

SECRETS = {
    "tokens": "hashes of bearer tokens: issue new ones, or export with secrets",
    "webhooks": "what signs their messages: make them anew, or export with secrets",
    "deliveries": "they belong to webhooks",
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
    "site_journals": "what this store has heard of its sites' journals: another one hears it anew",
    "site_conflicts": "found anew by the store that is opened",
    "rollbacks": "the operational state's history",
    "rollback_accounts": "the operational state's history",
    "assessments": "the operational state's history",
    "holds": "they stand on change-sets, which stay here: decide on them before",
    "hold_waits": "they stand on change-sets, which stay here",
    "effect_ledger": "what this controller has counted of late",
    "breaker_excused": "what this controller has counted of late",
    "breaker_openings": "what this controller has counted of late",
    "registry_entries": "what this store's sites were told: another store counts on from the clock",
    "drains": "what the sites of this store were told: lift them before, or drain anew",
    "pins": "they stand on change-sets, which stay here: decide on them before",
    "pin_decisions": "they stand on change-sets, which stay here",
}
"""Left out always, and why."""


def exported_tables(*, secrets: bool = False) -> tuple[Table, ...]:
    """Return the tables, each after those that it refers to."""
    skipped = set(LEFT_OUT) if secrets else set(LEFT_OUT) | set(SECRETS)
    return tuple(
        t
        for t in Base.metadata.sorted_tables
        if t.name not in skipped and (secrets or not any(c.info.get("secret") for c in t.columns))
    )


def left_out_tables(names: Iterable[str]) -> tuple[Table, ...]:
    """Return the tables of these names."""
    return tuple(Base.metadata.tables[name] for name in names)
