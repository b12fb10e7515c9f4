"""What an agent answers to a command (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controller.agent.envelope import outside_envelope, owners_of
from controller.agent.journal_records import Applied, JournalState
from controller.bgp import Prefix
from controller.snapshots.model import Chunk, DamagedChunkError, decode_chunk
from controller.transport.messages import Command, Outcome, Receipt


@dataclass(frozen=True, slots=True)
class Decision:
    """The receipt, and, if the command is accepted, the record that must be on disk before it is given."""

    receipt: Receipt
    record: Applied | None = None
    chunk: Chunk | None = None


def decide_all(
    commands: Iterable[Command], state: JournalState, chunks: Mapping[str, Chunk]
) -> list[Decision]:
    """Judge commands in order, each as if those before it were in the journal already; ``state`` stays.

    ``chunks`` are the accounts' decoded chunks here.
    """
    after, owners = state.copy(), owners_of(chunks.values())
    made: list[Decision] = []
    newer: dict[str, Chunk | None] = {}
    for command in commands:
        decision = decide(command, after, owners)
        made.append(decision)
        if decision.record is not None:
            after.apply(decision.record)
            before = newer.get(command.account_id, chunks.get(command.account_id))
            for bgp in () if before is None else before.bgp_prefixes:
                owners.pop(bgp.cidr, None)
            newer[command.account_id] = decision.chunk
            if decision.chunk is not None:
                owners |= owners_of([decision.chunk])
    return made


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
    )
    receipt = Receipt(command.site, command.generation, "accepted", "", command.to_hash)
    return Decision(receipt, record, chunk)


def _short(hash_: str | None) -> str:
    return "nothing" if hash_ is None else hash_[:12]
