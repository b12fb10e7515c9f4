"""What of a command the registry lets out anew (pure; SAFETY.md, 3).

An entry judges what is asked for *anew*: a route that the account did not have here, or one with another
origin. What it does not cover is barred: it is journalled with the command, and not announced until an entry
covers it. What was let out before stays, whatever becomes of the entry: a narrower or empty one, one that is
forged, one with an older serial and none at all take nothing away, and show as conflicts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from controller.bgp import Prefix, Route
from controller.safety.registry import Index, RegistryEntry, RegistryError, read_entry
from controller.snapshots.projection import SiteState
from controller.transport.messages import HeldEffect, RegistryConflict

NO_ENTRY = "no entry of the registry has come for its account"


class Listed(msgspec.Struct, frozen=True):
    """What the registry says of an account here. ``entry``: the newest that is believed.

    ``refused``: why the text that came last is not; empty when it is. ``barred``: prefixes that the account's
    chunk asks for and no entry has covered.
    """

    entry: RegistryEntry | None = None
    refused: str = ""
    barred: tuple[Prefix, ...] = ()


NOTHING = Listed()


def take(known: Listed, text: str, account_id: str, public_keys: Iterable[bytes]) -> Listed:
    """Return what is known once ``text`` has come: the newer entry, or the old one and why not.

    An empty text says nothing.
    """
    if not text:
        return known
    try:
        entry = read_entry(text, account_id, public_keys)
    except RegistryError as error:
        return msgspec.structs.replace(known, refused=str(error))
    if known.entry is not None and entry.serial <= known.entry.serial and entry != known.entry:
        why = f"its serial {entry.serial} is not newer than {known.entry.serial}, which this site has"
        return msgspec.structs.replace(known, refused=f"the registry's entry is refused: {why}")
    return Listed(entry, "", known.barred)


def bar(known: Listed, live: Iterable[Route], wanted: Iterable[Route], own_as: int) -> Listed:
    """Return ``known`` with what of ``wanted`` must not go out.

    ``live``: the account's routes here so far, without what was barred; ``own_as``: our own AS.
    """
    index = None if known.entry is None else Index(known.entry)
    before = {(r.prefix, r.as_path[-1]) for r in live}
    barred = [
        route.prefix
        for route in wanted
        if (route.prefix, route.as_path[-1]) not in before and _against(index, route, own_as) is not None
    ]
    return msgspec.structs.replace(known, barred=tuple(sorted(barred)))


def enrol(
    known: Listed,
    text: str,
    account_id: str,
    wanted: Iterable[Route],
    *,
    public_keys: Iterable[bytes],
    own_as: int,
) -> Listed:
    """Return what is known once an entry has come without a command: what it covers is barred no more.

    ``wanted``: what the account's chunk asks for here. Nothing is barred that was let out.
    """
    taken = take(known, text, account_id, public_keys)
    barred, index = set(taken.barred), None if taken.entry is None else Index(taken.entry)
    still = [r.prefix for r in wanted if r.prefix in barred and _against(index, r, own_as) is not None]
    return msgspec.structs.replace(taken, barred=tuple(sorted(still)))


def let_out(state: SiteState, barred: Collection[Prefix]) -> SiteState:
    """Return ``state`` without the routes that are barred; what is bound under them stays."""
    if not barred:
        return state
    out = frozenset(barred)
    needs = {prefix: bound for prefix, bound in state.needs.items() if prefix not in out}
    return SiteState(frozenset(r for r in state.routes if r.prefix not in out), state.bindings, needs)


class Register:
    """What the registry holds back at a site, and what stands against it; each account looked at once."""

    def __init__(self, own_as: int) -> None:
        self._own_as = own_as
        self._seen: dict[str, tuple[SiteState, Listed, tuple[HeldEffect, ...], tuple[RegistryConflict, ...]]]
        self._seen = {}

    def look(
        self, states: Mapping[str, SiteState], listed: Mapping[str, Listed]
    ) -> tuple[tuple[HeldEffect, ...], tuple[RegistryConflict, ...]]:
        """Return what is barred, and what is announced though the newest entry does not cover it.

        ``states``: what each account's chunk asks of the site.
        """
        self._seen = {account: seen for account, seen in self._seen.items() if account in states}
        held: list[HeldEffect] = []
        conflicts: list[RegistryConflict] = []
        for account_id, state in sorted(states.items()):
            known = listed.get(account_id, NOTHING)
            seen = self._seen.get(account_id)
            if seen is None or seen[0] is not state or seen[1] is not known:
                seen = (state, known, *self._look_at(account_id, state, known))
                self._seen[account_id] = seen
            held += seen[2]
            conflicts += seen[3]
        return tuple(held), tuple(conflicts)

    def _look_at(
        self, account_id: str, state: SiteState, known: Listed
    ) -> tuple[tuple[HeldEffect, ...], tuple[RegistryConflict, ...]]:
        index = None if known.entry is None else Index(known.entry)
        held: list[HeldEffect] = []
        conflicts = [RegistryConflict(account_id, None, known.refused)] if known.refused else []
        for route in sorted(state.routes):
            why = _against(index, route, self._own_as)
            if route.prefix in known.barred:
                held.append(HeldEffect(account_id, route.prefix, "announce", "registry", why or NO_ENTRY))
            elif why is not None and index is not None:
                conflicts.append(RegistryConflict(account_id, route.prefix, f"it stays as it is: {why}"))
        if index is None and len(held) < len(state.routes):
            conflicts.append(RegistryConflict(account_id, None, f"what it has stays as it is: {NO_ENTRY}"))
        return tuple(held), tuple(conflicts)


def _against(index: Index | None, route: Route, own_as: int) -> str | None:
    return NO_ENTRY if index is None else index.against(route.prefix, route.as_path[-1], own_as)
