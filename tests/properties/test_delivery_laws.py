"""What is sent to a site, and when a site counts as being there: laws over random sites."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from controller.bgp import Prefix
from controller.rollout.backoff import FIRST_S, LONGEST_S, delay_s
from controller.rollout.delivery import Move, Unknown, footprint, judge, next_move
from controller.rollout.states import SiteEvent
from controller.snapshots.model import (
    BgpPrefixObject,
    BindingObject,
    Chunk,
    ChunkHash,
    PrefixObject,
    encode_chunk,
    hash_chunk,
)
from controller.snapshots.projection import project
from controller.transport.messages import MachineStatus, SiteStatus, Waiting

NAMES = [ChunkHash(c * 64) for c in "abcd"]
MAYBE = st.sampled_from([None, *NAMES])
PARTS = [Prefix(f"198.18.{n}.0/24") for n in range(4)]
WHOLE = PrefixObject("p", Prefix("198.18.0.0/22"), None)


@given(MAYBE, MAYBE, st.sets(st.sampled_from(NAMES)))
def test_nothing_is_sent_without_a_target_or_over_what_is_unknown(
    target: ChunkHash | None, held: ChunkHash | None, known: set[ChunkHash]
) -> None:
    move = next_move(target, held, known)
    if target is None or target == held:
        assert move is None
    elif held is not None and held not in known:
        assert move == Unknown(held)
    else:
        assert move == Move(held, target)


@given(MAYBE, st.lists(MAYBE, max_size=8))
def test_a_site_that_takes_each_move_ends_at_the_last_target(
    held: ChunkHash | None, targets: list[ChunkHash | None]
) -> None:
    last = held
    for target in targets:
        move = next_move(target, held, NAMES)
        if isinstance(move, Move):
            assert move.from_hash == held
            held = move.to_hash
        last = target or last
    assert held == last


@st.composite
def chunks(draw: st.DrawFn) -> Chunk:
    bgp = tuple(
        BgpPrefixObject(
            f"g{n}",
            "p",
            cidr,
            draw(st.sampled_from([None, 64511])),
            advertised=draw(st.booleans()),
            sites=draw(st.sampled_from([None, ("site1",), ("site2",)])),
            prepends=draw(st.integers(0, 3)),
        )
        for n, cidr in enumerate(PARTS)
        if draw(st.booleans())
    )
    services = draw(st.sampled_from(["cdn", "spectrum"]))
    return Chunk("acme", (WHOLE,), bgp, (BindingObject("b", "p", WHOLE.cidr, services),))


def status_of(chunk: Chunk, **changes: object) -> SiteStatus:
    """Return the status of site1 when it has carried ``chunk`` out."""
    hash_ = hash_chunk(encode_chunk(chunk))
    routes = project({"acme": chunk}, "site1", 64500).routes
    told: dict[str, object] = {
        "site": "site1", "version": 1, "generation": 1, "epoch": "e", "accounts": {"acme": hash_},
        "settled": False, "speaker": "exabgp", "speaker_up": True,
        "sent": {r.prefix: r.as_path for r in routes},
        "machines": (MachineStatus("m1", True, 1, None),),
    }  # fmt: skip
    return SiteStatus(**(told | changes))  # type: ignore[arg-type]  # a mapping of fields


def judged(old: Chunk, new: Chunk, status: SiteStatus) -> tuple[SiteEvent, str]:
    name = hash_chunk(encode_chunk(new))
    held = status.accounts.get("acme")
    return judge({name}, set(), "acme", status, held=held, known=NAMES, changed=footprint(old, new))


@given(chunks(), chunks())
def test_anothers_trouble_at_a_site_is_not_ours(old: Chunk, new: Chunk) -> None:
    """Routes that are as they are to be settle, though the site as a whole has not settled."""
    elsewhere = (Waiting(Prefix("203.0.113.0/24"), "0 of 2 machines"),)
    event, reason = judged(old, new, status_of(new, waiting=elsewhere))
    bindings_change = old.bindings != new.bindings
    assert event is (SiteEvent.JOURNALLED if bindings_change else SiteEvent.SETTLED)
    assert reason == ""
    assert judged(old, new, status_of(new, settled=True))[0] is SiteEvent.SETTLED


@given(chunks(), chunks())
def test_a_speaker_that_still_has_the_old_routes_never_settles_a_change(old: Chunk, new: Chunk) -> None:
    before, after = status_of(old).sent, status_of(new).sent
    event, _ = judged(old, new, status_of(new, sent=before))
    if before != after:
        assert event is not SiteEvent.SETTLED


@given(chunks(), chunks(), st.data())
def test_what_waits_is_told_with_its_reason(old: Chunk, new: Chunk, data: st.DataObject) -> None:
    changed = [cidr for cidr, _ in footprint(old, new).bgp]
    if changed:
        mine = data.draw(st.sampled_from(changed))
        status = status_of(new, waiting=(Waiting(mine, "no machine answers"),))
        assert judged(old, new, status) == (SiteEvent.HELD_UP, f"{mine}: no machine answers")


@given(chunks(), chunks())
def test_a_site_without_the_chunk_lacks_it_whatever_it_says(old: Chunk, new: Chunk) -> None:
    if old != new:
        name = hash_chunk(encode_chunk(old))
        status = status_of(old, settled=True)
        wanted, changed = hash_chunk(encode_chunk(new)), footprint(old, new)
        event, _ = judge({wanted}, set(), "acme", status, held=name, known={name}, changed=changed)
        assert event is SiteEvent.LACKING
        event, _ = judge({wanted}, {name}, "acme", status, held=name, known={name}, changed=changed)
        assert event is SiteEvent.OVERTAKEN
        event, _ = judge({wanted}, set(), "acme", status, held=name, known=set(), changed=changed)
        assert event is SiteEvent.CONFLICTED


@given(st.integers(1, 10_000), st.randoms(use_true_random=False))
def test_back_off_grows_and_stays_bounded(failures: int, chance: random.Random) -> None:
    found = delay_s(failures, chance.random())
    assert FIRST_S / 2 <= found <= LONGEST_S
    assert delay_s(failures + 1, 0.0) >= delay_s(failures, 0.0)
