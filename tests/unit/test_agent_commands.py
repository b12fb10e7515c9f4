"""What an agent answers to commands, and what never gets past its envelope."""

from __future__ import annotations

import msgspec
import pytest

from controller.agent.commands import confirm_by, decide, decide_all
from controller.agent.envelope import owners_of
from controller.agent.journal_records import JournalState, Opened, Unconfirmed
from controller.bgp import Prefix
from controller.snapshots.model import (
    BgpPrefixObject,
    BindingObject,
    Chunk,
    ChunkHash,
    PrefixObject,
    encode_chunk,
    hash_chunk,
)
from controller.transport.messages import Command, Outcome

BGP = BgpPrefixObject("b", "p", Prefix("192.0.2.0/24"), 64511, advertised=True)
BINDING = BindingObject("x", "p", Prefix("192.0.2.0/25"), "svc")
CHUNK = Chunk("acc", (PrefixObject("p", Prefix("192.0.2.0/23"), 64511),), (BGP,), (BINDING,))


def command(chunk: Chunk | None, generation: int = 1, before: ChunkHash | None = None) -> Command:
    data = encode_chunk(chunk) if chunk else None
    return Command("s1", generation, "r", "acc", before, hash_chunk(data) if data else None, data)


def fresh() -> JournalState:
    state = JournalState()
    state.apply(Opened("s1", "e"))
    return state


def give(state: JournalState, order: Command, chunks: dict[str, Chunk] | None = None) -> tuple[Outcome, str]:
    decision = decide(order, state, owners_of((chunks or {}).values()))
    assert (decision.record is not None) == (decision.receipt.outcome == "accepted")
    if decision.record is not None:
        state.apply(decision.record)
    return decision.receipt.outcome, decision.receipt.reason


def test_a_command_is_applied_once() -> None:
    state = fresh()
    assert give(state, command(CHUNK))[0] == "accepted"
    assert give(state, command(CHUNK))[0] == "duplicate"
    assert state.generation == 1


def test_an_older_generation_is_stale_and_another_start_a_conflict() -> None:
    state = fresh()
    give(state, command(CHUNK, 5))
    held = state.hash_of("acc")
    assert give(state, command(None, 4, held))[0] == "stale"
    assert give(state, command(None, 5, held))[0] == "stale"
    assert give(state, command(None, 6, None))[0] == "conflict"
    decision = decide(command(None, 6, ChunkHash("0" * 64)), state, {})
    assert decision.receipt.current_hash == held
    assert give(state, command(None, 6, held))[0] == "accepted"
    assert state.hash_of("acc") is None


def test_a_command_for_another_site_is_refused() -> None:
    order = msgspec.structs.replace(command(CHUNK), site="s2")
    assert give(fresh(), order)[0] == "refused"


@pytest.mark.parametrize("damage", [b"", b"{}", None])
def test_a_damaged_chunk_is_refused_whole(damage: bytes | None) -> None:
    state = fresh()
    outcome, reason = give(state, msgspec.structs.replace(command(CHUNK), chunk=damage))
    assert outcome == "refused"
    assert "chunk" in reason
    assert state == fresh()


def edited(**changes: object) -> Chunk:
    return msgspec.structs.replace(CHUNK, bgp_prefixes=(msgspec.structs.replace(BGP, **changes),))


@pytest.mark.parametrize(
    ("chunk", "says"),
    [
        (edited(cidr="0.0.0.0/0"), "outside the account's"),
        (edited(cidr="192.0.2.0/25"), "longer than /24"),
        (edited(cidr="192.0.2.1/24"), "not a canonical prefix"),
        (edited(cidr="198.51.100.0/24"), "outside the account's"),
        (edited(cidr="2001:db8::/48"), "outside the account's"),
        (edited(prefix_id="q"), "outside the account's"),
        (edited(asn=64999), "AS 64999 is not the origin"),
        (edited(prepends=4), "prepends"),
        (edited(advertised=False, prepends=-1), "prepends"),
        (msgspec.structs.replace(CHUNK, bgp_prefixes=(BGP, BGP)), "twice"),
        (msgspec.structs.replace(CHUNK, account_id="other"), "account other's"),
        (
            msgspec.structs.replace(
                CHUNK, bindings=(msgspec.structs.replace(BINDING, cidr=Prefix("10.0.0.0/25")),)
            ),
            "binding 10.0.0.0/25 lies outside",
        ),
        (
            Chunk(
                "acc",
                (PrefixObject("p", Prefix("0.0.0.0/0"), 64511),),
                (msgspec.structs.replace(BGP, cidr=Prefix("0.0.0.0/0")),),
            ),
            "default route never",
        ),
    ],
)
def test_what_lies_outside_the_envelope_is_refused(chunk: Chunk, says: str) -> None:
    state = fresh()
    outcome, reason = give(state, command(chunk))
    assert (outcome, says in reason) == ("refused", True), reason
    assert state == fresh()


def test_no_two_accounts_hold_one_bgp_prefix() -> None:
    other = msgspec.structs.replace(CHUNK, account_id="first")
    outcome, reason = give(fresh(), command(CHUNK), {"first": other})
    assert (outcome, reason) == ("refused", "BGP prefix 192.0.2.0/24 is account first's")
    assert give(fresh(), command(CHUNK), {"acc": CHUNK})[0] == "accepted"


def test_commands_that_come_together_are_judged_one_after_the_other() -> None:
    def chunk_of(account: str) -> Chunk:
        return Chunk(
            account,
            prefixes=CHUNK.prefixes,
            bgp_prefixes=CHUNK.bgp_prefixes,
            bindings=CHUNK.bindings,
        )

    def order(account: str, generation: int) -> Command:
        data = encode_chunk(chunk_of(account))
        return Command("s1", generation, "r", account, None, hash_chunk(data), data)

    state = fresh()
    same, older = order("two", 3), order("three", 2)
    decisions = decide_all([order("one", 2), same, older], state, {})
    assert [d.receipt.outcome for d in decisions] == ["accepted", "refused", "stale"]
    assert "is account one's" in decisions[1].receipt.reason
    assert state.generation == 0, "judging is not journalling"

    gone = command(None, 4, decisions[0].receipt.current_hash)
    freed = [msgspec.structs.replace(gone, account_id="one"), msgspec.structs.replace(same, generation=5)]
    state.apply(decisions[0].record)  # type: ignore[arg-type]
    again = decide_all(freed, state, {"one": chunk_of("one")})
    assert [d.receipt.outcome for d in again] == ["accepted", "accepted"]


def test_the_time_to_confirm_does_not_run_while_the_guard_holds_a_part_back() -> None:
    pending = {"acme": Unconfirmed(7, 120.0, None, None), "globex": Unconfirmed(3, 60.0, None, None)}
    at_first = confirm_by(pending, {}, (), 1000.0)
    assert at_first == {"acme": (7, 1120.0), "globex": (3, 1060.0)}
    later = confirm_by(pending, at_first, {"acme"}, 1050.0)
    assert later == {"acme": (7, 1170.0), "globex": (3, 1060.0)}
    assert confirm_by(pending, later, (), 1100.0) == later, "it runs on from there"
    newer = {"acme": Unconfirmed(9, 120.0, None, None)}
    assert confirm_by(newer, later, (), 1100.0) == {"acme": (9, 1220.0)}
