"""Prints what this release compiles from a store's configured rows: ``python -c`` of the candidate runs it.

Its output is one line of JSON: account → its chunk, as if nothing were under way or held.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
from sqlalchemy import select

from controller.addressing import rows
from controller.addressing.tables import AccountRow, PrefixRow
from controller.snapshots.model import Chunk
from controller.snapshots.objects import Objects, chunk_of
from controller.store import open_store


def compile_all(file: Path) -> Mapping[str, Chunk]:
    """Return each account's chunk, compiled from its approved prefixes and what stands on them."""
    store = open_store(file)
    try:
        with store.read() as session:
            found: dict[str, Chunk] = {}
            for account in session.scalars(select(AccountRow.id).order_by(AccountRow.id)):
                approved = select(PrefixRow).where(
                    PrefixRow.account_id == account, PrefixRow.approved, PrefixRow.deleted_at.is_(None)
                )
                objects: Objects = {}
                for prefix in session.scalars(approved):
                    objects["prefix", prefix.id] = rows.prefix_object(prefix)
                    for bgp in rows.bgp_prefixes_of(session, account, prefix.id):
                        objects["bgp_prefix", bgp.id] = rows.bgp_prefix_object(bgp)
                    for binding in rows.bindings_of(session, account, prefix.id):
                        objects["binding", binding.id] = rows.binding_object(binding)
                found[account] = chunk_of(account, objects)
            return found
    finally:
        store.close()


def main() -> None:
    """Print the chunks of the store in the file that the first argument names."""
    sys.stdout.buffer.write(msgspec.json.encode(compile_all(Path(sys.argv[1]))) + b"\n")


def read(text: bytes) -> dict[str, Chunk]:
    """Return what :func:`main` of some release printed; raises ``msgspec.MsgspecError``."""
    return msgspec.json.decode(text, type=dict[str, Chunk])
