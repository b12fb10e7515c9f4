"""Tells a journal that was put back from a backup from the one that was here (pure; SAFETY.md, 7).

What the journal has reached is also kept where no backup of its disk reaches: in a second place, by default
the runtime directory, and by the controller, which tells what it remembers. A journal that is behind that, or
another one, may have forgotten a revocation, or spend a budget twice: the agent is quarantined until somebody
says, signed, what must not come back.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import msgspec

from controller.agent.journal_records import JournalState
from controller.agent.override import MOST, Desk, OverrideRefusedError, read_signed
from controller.bgp import Prefix
from controller.safety.signed import sign_record
from controller.transport.messages import NewerJournal

RELEASE = "herald release 1"


class Reached(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far a journal was: which life of it, how many records (0: nobody knows), the highest generation."""

    epoch: str
    serial: int
    generation: int


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Let the agent of ``site`` go on from its journal as it is, at ``epoch`` and ``serial``.

    ``revoked``: prefixes that must not be announced there whatever the journal says, until that is lifted.
    """

    site: str
    epoch: str
    serial: int
    revoked: tuple[Prefix, ...]
    nonce: str
    expires_at: datetime
    who: str
    why: str


def reached(state: JournalState) -> Reached:
    """Return how far the journal is."""
    return Reached(state.epoch, state.serial, state.generation)


def behind(state: JournalState, known: Reached | None) -> str | None:
    """Return why the journal cannot be the one that was here, or None; ``known``: of the second place."""
    if known is None:
        return None
    if state.epoch != known.epoch:
        return (
            f"the journal is of the life {state.epoch}, and {known.epoch} was here: it is another one, or "
            "began anew; put the right one back, or release it (herald site sign-release)"
        )
    if state.serial < known.serial or state.generation < known.generation:
        had = f"{known.serial} up to {known.generation}" if known.serial else f"some up to {known.generation}"
        return (
            f"the journal has {state.serial} records up to generation {state.generation}, and had "
            f"{had}: it is an older copy; put the newer one back, or "
            "release it with what was revoked since (herald site sign-release)"
        )
    return None


def told(remembered: NewerJournal, state: JournalState) -> Reached | None:
    """Return what the controller remembers of the journal if this one is behind it; None: it is not.

    A journal that was released in place of that one is in order.
    """
    known = Reached(remembered.epoch, 0, remembered.generation)
    if behind(state, known) is None:
        return None
    if state.resumed_from is not None:
        epoch, generation = state.resumed_from
        if epoch == known.epoch and generation >= known.generation:
            return None
    return known


def sign_release(record: Release, private_key: bytes) -> str:
    """Return the text of a release, signed with a raw Ed25519 key."""
    return sign_record(RELEASE, msgspec.json.encode(record), private_key)


def read_release(text: str, desk: Desk, state: JournalState, used: Collection[str]) -> Release:
    """Return the release in ``text`` if it is for this journal as it is; raises OverrideRefusedError."""
    record = read_signed(RELEASE, text, Release, desk)
    if (record.epoch, record.serial) != (state.epoch, state.serial):
        raise OverrideRefusedError(
            f"release refused: it is for record {record.serial} of the life {record.epoch}, and this journal "
            f"is at {state.serial} of {state.epoch}"
        )
    if record.nonce in used:
        raise OverrideRefusedError("release refused: it was used already")
    if len(record.revoked) > 100 * MOST:
        raise OverrideRefusedError(f"release refused: it names more than {100 * MOST} prefixes")
    return record
