"""What an agent answers to a command (pure)."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from controller.agent.envelope import outside_envelope, owners_of
from controller.agent.journal_records import (
    Applied,
    Confirmed,
    Enrolled,
    JournalState,
    PutBack,
    Unconfirmed,
)
from controller.agent.registry import NOTHING as UNLISTED
from controller.agent.registry import Listed, bar, enrol, let_out, take
from controller.agent.standing import Asked, Standing, effective, read_intents, standing_after
from controller.bgp import Prefix, Route, covers
from controller.snapshots.model import Chunk, ChunkHash, DamagedChunkError, decode_chunk
from controller.snapshots.projection import SiteState, project
from controller.transport.messages import Command, Confirmation, Outcome, Receipt, RegistryNews


@dataclass(frozen=True, slots=True)
class Decision:
    """The receipt, and, if the command is accepted, the record that must be on disk before it is given."""

    receipt: Receipt
    record: Applied | None = None
    chunk: Chunk | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known beside the journal when commands come. The default knows nothing and nobody.

    ``reach``: the prefixes that are or may be announced, None while that is not known. ``intent_keys``: the
    raw public keys of whoever may sign intents, which hold at ``now`` (the wall clock, aware);
    ``registry_keys``: those of the registry, None when nothing is checked against it. ``project`` says what a
    chunk (by its hash) means at this site.
    """

    reach: AbstractSet[Prefix] | None = None
    intent_keys: tuple[bytes, ...] = ()
    now: datetime | None = None
    skew_s: float = 0.0
    local_as: int = 64500
    project: Callable[[ChunkHash, Chunk], SiteState] | None = None
    registry_keys: tuple[bytes, ...] | None = None

    def state_of(self, chunk: Chunk | None, hash_: ChunkHash | None, site: str) -> SiteState:
        """Return what ``chunk`` asks of ``site``."""
        if chunk is None or hash_ is None:
            return NOTHING
        if self.project is not None:
            return self.project(hash_, chunk)
        return project({chunk.account_id: chunk}, site, self.local_as)


NOTHING = SiteState(frozenset(), frozenset(), {})


def decide_all(
    commands: Iterable[Command],
    state: JournalState,
    chunks: Mapping[str, Chunk],
    around: Surroundings = Surroundings(),
) -> list[Decision]:
    """Judge commands in order, each as if those before it were in the journal already; ``state`` stays.

    ``chunks`` are the accounts' decoded chunks here. What a command takes away stands until the guard lets it
    go (:mod:`controller.agent.standing`); with nothing known ``around``, nobody asked for any of it.
    """
    after, owners = state.copy(), owners_of(chunks.values())
    made: list[Decision] = []
    newer: dict[str, Chunk | None] = {}
    for command in commands:
        decision = decide(command, after, owners)
        before = newer.get(command.account_id, chunks.get(command.account_id))
        if decision.record is not None:
            decision = replace(decision, record=_with_standing(decision, command, before, after, around))
        made.append(decision)
        if decision.record is not None:
            after.apply(decision.record)
            for bgp in () if before is None else before.bgp_prefixes:
                owners.pop(bgp.cidr, None)
            newer[command.account_id] = decision.chunk
            if decision.chunk is not None:
                owners |= owners_of([decision.chunk])
    return made


def confirm(confirmation: Confirmation, state: JournalState) -> tuple[Receipt, Confirmed | None]:
    """Return the receipt of a confirmation, and the record that must be on disk before it is given."""
    account_id, current = confirmation.account_id, state.hash_of(confirmation.account_id)

    def answer(outcome: Outcome, reason: str = "") -> Receipt:
        return Receipt(state.site, confirmation.generation, outcome, reason, current)

    if confirmation.site != state.site:
        return answer("refused", f"this is site {state.site}, not {confirmation.site}"), None
    if confirmation.fence < state.fence:
        return answer("stale", f"fence {confirmation.fence} is below {state.fence}"), None
    pending = state.unconfirmed.get(account_id)
    if pending is None or pending.generation != confirmation.generation:
        held = state.accounts.get(account_id)
        if pending is None and held is not None and held.generation == confirmation.generation:
            return answer("duplicate", "it is final, or was put back: see current_hash"), None
        return answer("stale", "another command of this account came since"), None
    return answer("accepted"), Confirmed(account_id, confirmation.generation)


def enrol_all(
    news: RegistryNews, state: JournalState, asked: Mapping[str, SiteState], around: Surroundings
) -> tuple[Receipt, list[Enrolled]]:
    """Return the receipt of entries that came alone, and the records that must be on disk before it is given.

    ``asked``: what each account's chunk asks of this site. While an entry is not believed the site goes on
    saying that it was not told.
    """

    def answer(outcome: Outcome, reason: str = "") -> Receipt:
        return Receipt(state.site, state.generation, outcome, reason)

    if news.site != state.site:
        return answer("refused", f"this is site {state.site}, not {news.site}"), []
    if news.fence < state.fence:
        return answer("stale", f"fence {news.fence} is below {state.fence}"), []
    if around.registry_keys is None:
        return answer("refused", "nothing is checked against the registry here"), []
    records: list[Enrolled] = []
    whys: list[str] = []
    for account_id, text in sorted(news.entries.items()):
        listed = enrol(
            state.listed.get(account_id, UNLISTED),
            text,
            account_id,
            asked[account_id].routes if account_id in asked else (),
            public_keys=around.registry_keys,
            own_as=around.local_as,
        )
        records.append(Enrolled(account_id, listed))
        if listed.refused:
            whys.append(f"account {account_id}: {listed.refused}")
    if records and not whys and news.revocations > state.revocations:
        # With the last, so that a write that was cut short has told nothing.
        records[-1] = msgspec.structs.replace(records[-1], revocations=news.revocations)
    told = [r for r in records if r.revocations or state.listed.get(r.account_id) != r.listed]
    return answer("refused" if whys else "accepted", "; ".join(whys[:5])), told


def confirm_by(
    unconfirmed: Mapping[str, Unconfirmed],
    before: Mapping[str, tuple[int, float]],
    held: Container[str],
    now: float,
) -> dict[str, tuple[int, float]]:
    """Return by when each account's command must be confirmed: its generation, and a time of ``now``'s clock.

    It begins with the command, or with this process, and anew while the guard holds a part of it back
    (``held``: accounts): the controller cannot say that something is final which is not in effect yet.
    """
    found: dict[str, tuple[int, float]] = {}
    for account_id, pending in unconfirmed.items():
        known = before.get(account_id)
        runs = known is not None and known[0] == pending.generation and account_id not in held
        found[account_id] = known if known and runs else (pending.generation, now + pending.within_s)
    return found


def put_back(
    account_id: str, state: JournalState, chunks: Mapping[str, Chunk], around: Surroundings
) -> PutBack:
    """Return the record that puts back what nobody confirmed in time.

    What that takes away stands like anything else: nobody asked for it but a clock.
    """
    pending = state.unconfirmed[account_id]
    held = state.accounts[account_id]
    now = chunks.get(account_id)
    then = (
        None
        if pending.from_hash is None or pending.chunk is None
        else decode_chunk(pending.chunk, pending.from_hash)
    )
    standing = state.standing.get(account_id, Standing())
    here = let_out(around.state_of(now, held.hash, state.site), state.barred_of(account_id))
    back = around.state_of(then, pending.from_hash, state.site)
    stands, _ = standing_after(
        here,
        standing,
        back,
        asked=Asked(account_id, state.site, "express"),
        reach=around.reach,
        sites={} if now is None else {b.cidr: b.sites for b in now.bgp_prefixes},
    )
    listed = _listed(state.listed.get(account_id), account_id, "", (here, standing, back), around)
    return PutBack(account_id, pending.generation, stands, listed)


def _with_standing(
    decision: Decision, command: Command, before: Chunk | None, state: JournalState, around: Surroundings
) -> Applied:
    """Return the record with what stands of the account from now on, and who asked for it to go."""
    assert decision.record is not None
    intents = (
        read_intents(command.intents, around.intent_keys, around.now, around.skew_s)[0]
        if around.now is not None and command.intents
        else []
    )
    account_id = command.account_id
    asked = Asked(account_id, state.site, command.lane, intents, state.spent)
    standing = state.standing.get(account_id, Standing())
    had = let_out(around.state_of(before, command.from_hash, state.site), state.barred_of(account_id))
    had = _with_adopted(had, decision.chunk, state)
    wanted = around.state_of(decision.chunk, command.to_hash, state.site)
    stands, spent = standing_after(
        had,
        standing,
        wanted,
        asked=asked,
        reach=around.reach,
        sites={} if before is None else {b.cidr: b.sites for b in before.bgp_prefixes},
    )
    known = state.listed.get(account_id)
    listed = _listed(known, account_id, command.registry, (had, standing, wanted), around)
    return msgspec.structs.replace(decision.record, stands=stands, spent=spent, listed=listed)


def _listed(
    known: Listed | None,
    account_id: str,
    text: str,
    step: tuple[SiteState, Standing, SiteState],
    around: Surroundings,
) -> Listed | None:
    """Return what the registry says once an account's step was taken: from what it had and what stood.

    ``text``: the entry that came. Where nothing is checked what is known stays, and bars nothing.
    """
    if around.registry_keys is None:
        return None if known is None else msgspec.structs.replace(known, barred=())
    had, standing, wanted = step
    taken = take(known or UNLISTED, text, account_id, around.registry_keys)
    # What was let out counts also while another origin stands in its place, which the guard has not let go.
    live = had.routes | effective(had, [standing]).routes
    return bar(taken, live, wanted.routes, around.local_as)


def _with_adopted(had: SiteState, chunk: Chunk | None, state: JournalState) -> SiteState:
    """Return what an account had, with the routes that the speaker had of it when its journal was lost."""
    if not state.adopted or chunk is None:
        return had
    known = {r.prefix for r in had.routes}
    found = {
        Route(prefix, path)
        for prefix, path in state.adopted.items()
        if prefix not in known and any(covers(p.cidr, prefix) for p in chunk.prefixes)
    }
    return SiteState(had.routes | found, had.bindings, had.needs)


def decide(command: Command, state: JournalState, owners: Mapping[Prefix, str]) -> Decision:
    """Judge ``command`` against the journal; ``owners``: which account holds each BGP prefix here."""
    current = state.hash_of(command.account_id)
    no = _refusal(command, state)
    if no is not None:
        outcome, reason = no
        return Decision(Receipt(state.site, command.generation, outcome, reason, current))
    if command.to_hash is None:
        return _accept(command, None)
    chunk, reason = _read_chunk(command, owners)
    if chunk is None:
        return Decision(Receipt(state.site, command.generation, "refused", reason, current))
    return _accept(command, chunk)


def _refusal(command: Command, state: JournalState) -> tuple[Outcome, str] | None:
    """Judge everything but the chunk."""
    if command.site != state.site:
        return "refused", f"this is site {state.site}, not {command.site}"
    held = state.accounts.get(command.account_id)
    if held is not None and (held.generation, held.from_hash, held.hash) == (
        command.generation,
        command.from_hash,
        command.to_hash,
    ):
        return "duplicate", ""
    if command.fence < state.fence:
        return "stale", f"fence {command.fence} is below {state.fence}: another controller leads by now"
    if command.generation <= state.generation:
        return "stale", f"generation {command.generation} is not above {state.generation}"
    current = state.hash_of(command.account_id)
    if command.from_hash != current:
        return "conflict", f"the account has {_short(current)} here, not {_short(command.from_hash)}"
    return None


def _read_chunk(command: Command, owners: Mapping[Prefix, str]) -> tuple[Chunk | None, str]:
    """Return the command's chunk, or why it is refused whole."""
    if command.to_hash is None or command.chunk is None:
        return None, f"chunk {_short(command.to_hash)} has no bytes with it"
    try:
        chunk = decode_chunk(command.chunk, command.to_hash)
    except DamagedChunkError as error:
        return None, str(error)
    if chunk.account_id != command.account_id:
        return None, f"the chunk is account {chunk.account_id}'s, not {command.account_id}'s"
    reason = outside_envelope(chunk, owners)
    return (chunk, "") if reason is None else (None, reason)


def _accept(command: Command, chunk: Chunk | None) -> Decision:
    record = Applied(
        generation=command.generation,
        rollout_id=command.rollout_id,
        account_id=command.account_id,
        from_hash=command.from_hash,
        to_hash=command.to_hash,
        chunk=command.chunk if chunk is not None else None,
        fence=command.fence,
        confirm_within_s=command.confirm_within_s,
    )
    receipt = Receipt(command.site, command.generation, "accepted", "", command.to_hash)
    return Decision(receipt, record, chunk)


def _short(hash_: str | None) -> str:
    return "nothing" if hash_ is None else hash_[:12]
