"""The journalled chunks as the site sees them: decoded once, projected once (pure)."""

from __future__ import annotations

from collections.abc import Iterable

from controller.agent.journal_records import JournalState
from controller.agent.registry import let_out
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
        """Return what the site is to have, less what the registry bars; raises as :meth:`chunks` does."""
        barred = [prefix for listed in state.listed.values() for prefix in listed.barred]
        return let_out(merge(self.asked(state).values()), barred)

    def asked(self, state: JournalState) -> dict[str, SiteState]:
        """Return what each account's chunk asks of the site; raises as :meth:`chunks` does."""
        return {account: self._of(hash_, data)[1] for account, (hash_, data) in state.chunk_bytes().items()}

    def left(self, state: JournalState) -> tuple[SiteState, ...]:
        """Return what the chunks asked for that accounts moved away from, and what the guard let go."""
        found = [self._of(hash_, data)[1] for hash_, (_, data) in state.left.items()]
        if state.going:
            needs = {prefix: frozenset(bindings) for prefix, bindings in state.going.items()}
            # Their paths are not kept; that they were asked for once is what counts.
            routes = frozenset(Route(prefix, (self._local_as,)) for prefix in needs)
            found.append(SiteState(routes, frozenset(b for held in needs.values() for b in held), needs))
        named = {hash_ for hash_, _ in state.chunk_bytes().values()} | state.left.keys()
        self._known = {hash_: known for hash_, known in self._known.items() if hash_ in named}
        return tuple(found)

    def of_chunk(self, hash_: ChunkHash, chunk: Chunk) -> SiteState:
        """Return what a chunk that is sound asks of the site; it is remembered until :meth:`left`."""
        if hash_ not in self._known:
            self._known[hash_] = (chunk, project({chunk.account_id: chunk}, self._site, self._local_as))
        return self._known[hash_][1]

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
