"""Reads the facts of a copy from its SQLite file itself.

Whatever release wrote it: a candidate may have moved the schema on, and is not to be asked about itself.
Columns that this release does not know do not matter, and tables that are not there yet are empty.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from controller.shadow.errors import CopyError
from controller.shadow.facts import ChangeSetFact, Facts, PartFact, PrefixFact
from controller.snapshots.model import ChangeSet, Chunk, ChunkHash, SnapshotError, decode_chunk


def read_facts(file: Path, now: datetime) -> Facts:
    """Return what the copy in ``file`` holds; raises :class:`CopyError` when it is none."""
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as copy:
            copy.row_factory = sqlite3.Row
            return _read(copy, now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    except sqlite3.DatabaseError as error:
        raise CopyError(f"{file} cannot be read as a store: {error}") from error


def _read(copy: sqlite3.Connection, now: str) -> Facts:
    asked = {r["prefix_id"] for r in _rows(copy, "deletion_requests", ("prefix_id",))}
    parts = ("id", "account_id", "prefix_id", "cidr", "deleted_at")
    return Facts(
        prefixes={
            r["id"]: PrefixFact(r["account_id"], r["cidr"], r["id"] in asked)
            for r in _rows(copy, "prefixes", ("id", "account_id", "cidr", "deleted_at"))
            if r["deleted_at"] is None
        },
        bgp_prefixes={
            r["id"]: PartFact(r["account_id"], r["prefix_id"], r["cidr"], bool(r["advertised"]))
            for r in _rows(copy, "bgp_prefixes", (*parts, "advertised"))
            if r["deleted_at"] is None
        },
        bindings={
            r["id"]: PartFact(r["account_id"], r["prefix_id"], r["cidr"])
            for r in _rows(copy, "bindings", parts)
            if r["deleted_at"] is None
        },
        tombstones={
            r["prefix_id"]: r["grace_ends_at"] <= now
            for r in _rows(copy, "deletions", ("prefix_id", "grace_ends_at", "outcome"))
            if r["outcome"] is None
        },
        head=dict(_heads(copy)),
        change_sets=tuple(_change_sets(copy)),
        sites=tuple(sorted(r["name"] for r in _rows(copy, "sites", ("name",)))),
    )


def _rows(copy: sqlite3.Connection, table: str, columns: Sequence[str]) -> Iterator[Any]:
    there = copy.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
    if there.fetchone() is None:
        return
    order = "ORDER BY seq" if "seq" in columns else ""
    yield from copy.execute(f"SELECT {', '.join(columns)} FROM {table} {order}")


def _heads(copy: sqlite3.Connection) -> Iterator[tuple[str, Chunk | None]]:
    for row in _rows(copy, "head", ("account_id", "hash")):
        found = copy.execute("SELECT body FROM chunks WHERE hash = ?", (row["hash"],)).fetchone()
        try:
            chunk = None if found is None else decode_chunk(found["body"], ChunkHash(row["hash"]))
        except SnapshotError:
            chunk = None
        yield row["account_id"], chunk


def _change_sets(copy: sqlite3.Connection) -> Iterator[ChangeSetFact]:
    for row in _rows(copy, "change_sets", ("seq", "id", "account_id", "actor", "state", "reason", "body")):
        try:
            body = msgspec.json.decode(row["body"], type=ChangeSet)
        except msgspec.MsgspecError:
            body = None
        yield ChangeSetFact(row["id"], row["account_id"], row["actor"], row["state"], row["reason"], body)
