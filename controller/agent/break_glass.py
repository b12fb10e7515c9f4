"""Carries out overrides and emergencies at this site, and keeps a record of each, refused ones too.

Nobody remote is asked: the record's signature, the journal and the site's own clocks decide.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from pathlib import Path

import structlog

from controller.agent.clock import reading, wall_clock
from controller.agent.config import AgentConfig
from controller.agent.epoch import Reached, Release, read_release
from controller.agent.guard import ORDINARY, change_hash, overridable
from controller.agent.journal import Journal
from controller.agent.journal_records import (
    Adopting,
    Charge,
    Decided,
    Emerged,
    JournalState,
    Overridden,
    Record,
    Resumed,
)
from controller.agent.key_file import KeyFile
from controller.agent.override import (
    Announced,
    Desk,
    Emergency,
    OverrideRefusedError,
    announcements,
    read_emergency,
    read_override,
    text_hash,
)
from controller.agent.policy import AgentPolicy
from controller.agent.salvage import begun_again
from controller.bgp import Prefix
from controller.safety.budget import Budget
from controller.snapshots.model import Chunk
from controller.snapshots.projection import SiteState
from controller.transport.messages import HeldEffect

log = structlog.get_logger()


class BreakGlass:
    """One site's. Both methods raise OverrideRefusedError, and JournalError when nothing was done."""

    def __init__(self, journal: Journal, config: AgentConfig, keys: KeyFile) -> None:
        self._journal = journal
        self._config = config
        self._keys = keys
        if not journal.state.nonce:
            journal.append(Overridden((), _nonce()))

    def override(self, text: str, held: tuple[HeldEffect, ...], policy: AgentPolicy) -> list[str]:
        """Let go what is held now, if the record in ``text`` is for exactly that; return it in words."""
        state, due = self._journal.state, overridable(held)
        try:
            record = read_override(text, self._desk(policy), change=change_hash(due), nonce=state.nonce)
        except OverrideRefusedError as error:
            self._refused("override", text, error)
            raise
        effects = tuple(sorted({(h.account_id, h.prefix, h.verb) for h in due}))
        said = [f"{verb} {prefix}" for _, prefix, verb in effects]
        self._accepted("override", text, record.who, record.why, Overridden(effects, _nonce()))
        return said

    def emergency(
        self,
        text: str,
        policy: AgentPolicy,
        *,
        reach: AbstractSet[Prefix] | None,
        desired: SiteState,
        chunk_of: Callable[[str], Chunk | None],
    ) -> list[str]:
        """Carry out the emergency in ``text``; return what was done, in words.

        ``reach`` and ``desired`` as the site knows them; ``chunk_of``: an account's chunk here.
        """
        try:
            record = read_emergency(text, self._desk(policy), used=self._journal.state.used)
            chunk, registered = chunk_of(record.account_id), policy.guards.registry
            made, lifted = self._plan(record, desired, chunk, registered=registered)
            gone = _going(record, lifted, reach)
            charges = self._charges(gone, policy)
        except OverrideRefusedError as error:
            self._refused("emergency", text, error)
            raise
        withdrawn = record.prefixes if record.action == "withdraw" else ()
        emerged = Emerged(record.nonce, withdrawn, made, lifted, charges)
        self._accepted(f"emergency {record.action}", text, record.who, record.why, emerged)
        return [f"{record.action} {prefix}" for prefix in record.prefixes]

    def _plan(
        self, record: Emergency, desired: SiteState, chunk: Chunk | None, *, registered: bool
    ) -> tuple[tuple[Announced, ...], tuple[Prefix, ...]]:
        state = self._journal.state
        if record.action == "announce":
            listed = state.listed.get(record.account_id)
            entry = None if listed is None or not registered else listed.entry
            return announcements(record, chunk, desired, self._config.local_as, entry), record.prefixes
        if record.action == "withdraw":
            return (), tuple(p for p in record.prefixes if p in state.emerged)
        drain = state.drains.get(state.site)
        in_force = {*state.withdrawn, *state.emerged, *(() if drain is None else drain.goes)}
        if nothing := [p for p in record.prefixes if p not in in_force]:
            raise OverrideRefusedError(f"emergency refused: none is in force here for {nothing[0]}")
        return (), record.prefixes

    def _charges(self, gone: tuple[Prefix, ...], policy: AgentPolicy) -> dict[str, Charge]:
        """Return what the budgets pay; raises :class:`OverrideRefusedError` when the emergency's is spent."""
        if not gone:
            return {}
        now, budgets = reading(), self._journal.state.budgets
        spending = budgets.get("emergency", Budget()).try_spend(gone, now, policy.emergency)
        if spending.held and policy.guards.budget:
            raise OverrideRefusedError(f"emergency refused: {spending.says}")
        after = {
            "emergency": budgets.get("emergency", Budget()).charge(gone, now, policy.emergency),
            ORDINARY: budgets.get(ORDINARY, Budget()).charge(gone, now, policy.budget),
        }
        return {name: Charge(b.passed_s, b.boot_id, b.monotonic_s, gone) for name, b in after.items()}

    def _desk(self, policy: AgentPolicy) -> Desk:
        keys = self._keys.keys().overrides
        return Desk(self._journal.state.site, keys, wall_clock(), policy.override_s)

    def _accepted(self, what: str, text: str, who: str, why: str, record: Record) -> None:
        decided = Decided(wall_clock().isoformat(), what, "accepted", who, why, text_hash(text))
        self._journal.append(record, decided)
        log.warning("break-glass", what=what, who=who, why=why)

    def _refused(self, what: str, text: str, error: OverrideRefusedError) -> None:
        decided = Decided(wall_clock().isoformat(), what, "refused", "", str(error), text_hash(text))
        self._journal.append(decided)
        log.warning("break-glass refused", what=what, reason=str(error))


def release(
    text: str, journal: Journal, config: AgentConfig, policy: AgentPolicy, known: Reached
) -> list[str]:
    """Let a quarantined agent go on from its journal; raises OverrideRefusedError and JournalError.

    ``known``: the journal that it is released in place of.

    What the record revokes is not announced here until an emergency lifts that, and is charged like one.
    All else that the speaker has stands, though the journal may have lost that it was asked for.
    """
    record = _release_in(text, journal.state, config, policy)
    return _go_on(record, text, journal, policy, known)


def begin_again(
    text: str, folder: Path, kept: JournalState, config: AgentConfig, policy: AgentPolicy, *, known: Reached
) -> tuple[Journal, list[str]]:
    """Let an agent whose journal is damaged go on with what its speaker has; raises as :func:`release` does.

    ``kept``: what is to be had of the damaged journal (:mod:`controller.agent.salvage`). ``known``: how
    far it was.
    """
    record = _release_in(text, kept, config, policy)
    now = reading()
    limits = {"emergency": policy.emergency, "drain": policy.drain, ORDINARY: policy.budget}
    spent = {name: Budget.exhausted(some, now) for name, some in limits.items()}
    journal = Journal.begin_again(folder, begun_again(kept, _nonce(), spent))
    said = _go_on(record, text, journal, policy, known)
    return journal, ["begun again: what the speaker has stands", *said]


def _release_in(text: str, state: JournalState, config: AgentConfig, policy: AgentPolicy) -> Release:
    keys = KeyFile(config.keys).keys().overrides
    return read_release(text, Desk(state.site, keys, wall_clock(), policy.override_s), state, state.used)


def _go_on(record: Release, text: str, journal: Journal, policy: AgentPolicy, known: Reached) -> list[str]:
    state, now = journal.state, reading()
    budgets = {name: state.budgets.get(name, Budget()) for name in ("emergency", ORDINARY)}
    charged = {name: b.charge(record.revoked, now, policy.budget) for name, b in budgets.items()}
    charges = {n: Charge(b.passed_s, b.boot_id, b.monotonic_s, record.revoked) for n, b in charged.items()}
    journal.append(
        Emerged(record.nonce, record.revoked, (), (), charges),
        Adopting(record.revoked),
        Resumed(known.epoch, known.generation),
        Decided(wall_clock().isoformat(), "release", "accepted", record.who, record.why, text_hash(text)),
    )
    return ["released", *(f"not announced here: {prefix}" for prefix in record.revoked)]


def _going(
    record: Emergency, lifted: tuple[Prefix, ...], reach: AbstractSet[Prefix] | None
) -> tuple[Prefix, ...]:
    """Return what leaves the speaker by it: what is or may be announced of what it withdraws."""
    if record.action == "announce":
        return ()
    gone = record.prefixes if record.action == "withdraw" else lifted
    return tuple(p for p in gone if reach is None or p in reach)


def _nonce() -> str:
    return secrets.token_hex(16)
