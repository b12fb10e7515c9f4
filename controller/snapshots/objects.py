"""A chunk as a mapping of its objects, to change it and to compare it (pure)."""

from __future__ import annotations

from controller.snapshots.model import (
    BgpPrefixObject,
    BindingObject,
    Chunk,
    ChunkObject,
    ObjectKind,
    PrefixObject,
)

Objects = dict[tuple[ObjectKind, str], ChunkObject]
"""A chunk's objects by (kind, id)."""


def objects_of(chunk: Chunk | None) -> Objects:
    """Return the chunk's objects by (kind, id)."""
    found: Objects = {}
    if chunk is not None:
        found.update({("prefix", o.id): o for o in chunk.prefixes})
        found.update({("bgp_prefix", o.id): o for o in chunk.bgp_prefixes})
        found.update({("binding", o.id): o for o in chunk.bindings})
    return found


def chunk_of(account_id: str, objects: Objects) -> Chunk:
    """Return the objects as a chunk, ordered by id."""
    ordered = [o for _, o in sorted(objects.items(), key=lambda item: item[0])]
    return Chunk(
        account_id,
        prefixes=tuple(o for o in ordered if isinstance(o, PrefixObject)),
        bgp_prefixes=tuple(o for o in ordered if isinstance(o, BgpPrefixObject)),
        bindings=tuple(o for o in ordered if isinstance(o, BindingObject)),
    )
