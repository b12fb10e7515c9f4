"""The journalled chunks as the site sees them: decoded once, projected once (pure)."""

from __future__ import annotations

from collections.abc import Iterable

from controller.agent.journal_records import JournalState
from controller.bgp import Prefix, Route
from controller.snapshots.model import Chunk, ChunkHash, decode_chunk
from controller.snapshots.projection import SiteBinding, SiteState, project


class Projections:
    """Chunks and their projections by hash; forgets those that the journal no longer names."""

    def __init__(self, site: str, local_as: int) -> None:
        self._site = site
        self._local_as = local_as
        self._known: dict[ChunkHash, tuple[Chunk, SiteState]] = {}

    def chunks(self, state: JournalState) -> dict[str, Chunk]:
        """Return each account's chunk; raises :class:`~controller.snapshots.model.DamagedChunkError`."""
        return {account: self._of(hash_, data)[0] for account, (hash_, data) in state.chunk_bytes().items()}

    def desired(self, state: JournalState) -> SiteState:
        """Return what the site is to have; raises as :meth:`chunks` does."""
        return merge(self._of(hash_, data)[1] for hash_, data in state.chunk_bytes().values())

    def left(self, state: JournalState) -> tuple[SiteState, ...]:
        """Return what the chunks asked for that accounts moved away from."""
        found = tuple(self._of(hash_, data)[1] for hash_, (_, data) in state.left.items())
        named = {hash_ for hash_, _ in state.chunk_bytes().values()} | state.left.keys()
        self._known = {hash_: known for hash_, known in self._known.items() if hash_ in named}
        return found

    def _of(self, hash_: ChunkHash, data: bytes) -> tuple[Chunk, SiteState]:
        if hash_ not in self._known:
            chunk = decode_chunk(data, hash_)
            state = project({chunk.account_id: chunk}, self._site, self._local_as)
            self._known[hash_] = (chunk, state)
        return self._known[hash_]


def merge(states: Iterable[SiteState]) -> SiteState:
    """Return accounts' states as one; no two announce the same prefix (the envelope sees to it)."""
    routes: set[Route] = set()
    bindings: set[SiteBinding] = set()
    needs: dict[Prefix, frozenset[SiteBinding]] = {}
    for state in states:
        routes |= state.routes
        bindings |= state.bindings
        needs |= state.needs
    return SiteState(frozenset(routes), frozenset(bindings), needs)
