"""What is to be had of a damaged journal, and the one that begins in its place (pure; SAFETY.md, 7).

Which routes and bindings a damaged journal asked for cannot be trusted: the record that is lost may have been
the one that took them away. So none of its accounts is kept: what the speaker has stands, and the controller
brings the accounts anew. What only forbids is kept, as far as it can be read: generations, fences, intents
and signed records that were used up, what emergencies took off. A budget that cannot be read is a spent one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from controller.agent.journal_records import (
    Adopting,
    JournalState,
    Opened,
    Record,
    replay,
    sound_records,
)
from controller.safety.budget import Budget


def life_of(data: bytes) -> str:
    """Return the name by which a release names a damaged journal: no other damage has it."""
    return f"damaged-{hashlib.sha256(data).hexdigest()[:32]}"


def salvaged(data: bytes, site: str, generation: int) -> JournalState:
    """Return what is kept of a damaged journal, as :func:`life_of` it; ``generation``: known elsewhere."""
    state = replay(sound_records(data))
    state.site, state.epoch, state.serial = site, life_of(data), 0
    state.generation = max(state.generation, generation)
    for asked in (state.accounts, state.left, state.standing, state.going, state.unconfirmed):
        asked.clear()
    state.excepted, state.adopting, state.adopted = frozenset(), None, {}
    state.revocations = 0  # what was told may be what is lost: it is to be told again
    return state


def of_another_site(data: bytes, site: str) -> str:
    """Return whose journal it is, if it is another site's; else nothing."""
    whose = next((r.site for r in sound_records(data) if isinstance(r, Opened)), site)
    return "" if whose == site else whose


def begun_again(kept: JournalState, epoch: str, spent: Mapping[str, Budget]) -> list[Record]:
    """Return the records of the journal that begins in a damaged one's place, as a life of its own.

    ``spent``: the budgets with which it begins, by name.
    """
    state = kept.copy()
    state.epoch, state.budgets = epoch, dict(spent)
    return [*state.records(), Adopting()]  # so that a crash before the release is noted takes nothing off
