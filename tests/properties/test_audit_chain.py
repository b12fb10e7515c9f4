"""The chain of events: whatever is done to it afterwards is found, and said of the right event."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from controller.addressing.audit_chain import GENESIS, Entry, Head, canonical, hash_of, verify

text = st.text(max_size=20)
details = st.dictionaries(
    text,
    st.recursive(
        st.none() | st.booleans() | st.integers() | text | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
        max_leaves=5,
    ),
    max_size=3,
)


@st.composite
def chains(draw: st.DrawFn, least: int = 1) -> list[tuple[Entry, str]]:
    chain: list[tuple[Entry, str]] = []
    seq, previous = 0, GENESIS
    for _ in range(draw(st.integers(least, 6))):
        seq += draw(st.integers(1, 3))
        entry = Entry(
            seq=seq,
            at="2026-01-02T03:04:05.000006Z",
            actor=draw(text),
            origin=draw(text),
            action=draw(text),
            account_id=draw(st.none() | text),
            object_kind=draw(text),
            object_id=draw(text),
            reason=draw(text),
            change_set_id=draw(st.none() | text),
            detail=draw(details),
        )
        previous = hash_of(previous, entry)
        chain.append((entry, previous))
    return chain


@given(chains(least=0))
def test_a_chain_as_it_was_written_is_intact(chain) -> None:
    verdict = verify(chain)
    head = Head(chain[-1][0].seq, chain[-1][1]) if chain else None
    assert verdict.intact and (verdict.events, verdict.head) == (len(chain), head)
    assert all(verify(chain, Head(entry.seq, found)).intact for entry, found in chain)


@given(chains(), st.data())
def test_a_changed_event_is_found(chain, data) -> None:
    index = data.draw(st.integers(0, len(chain) - 1))
    entry, found = chain[index]
    name = data.draw(
        st.sampled_from(["actor", "origin", "action", "account_id", "object_id", "reason", "at", "detail"])
    )
    value = {"changed": 1} if name == "detail" else "changed"
    if getattr(entry, name) == value:
        value = {} if name == "detail" else "changed again"
    chain[index] = (replace(entry, **{name: value}), found)
    assert verify(chain).broken_at == entry.seq


@given(chains(), st.data())
def test_a_changed_hash_is_found(chain, data) -> None:
    index = data.draw(st.integers(0, len(chain) - 1))
    entry, found = chain[index]
    place = data.draw(st.integers(0, 63))
    chain[index] = (entry, found[:place] + ("0" if found[place] != "0" else "1") + found[place + 1 :])
    assert verify(chain).broken_at == entry.seq


@given(chains(least=2), st.data())
def test_a_removed_event_is_found_where_the_next_one_stands(chain, data) -> None:
    index = data.draw(st.integers(0, len(chain) - 2))
    following = chain[index + 1][0].seq
    del chain[index]
    assert verify(chain).broken_at == following


@given(chains(least=2), st.data())
def test_reordered_events_are_found(chain, data) -> None:
    index = data.draw(st.integers(0, len(chain) - 2))
    chain[index], chain[index + 1] = chain[index + 1], chain[index]
    assert verify(chain).broken_at is not None


@given(chains(least=2), st.data())
def test_the_contents_of_two_events_changed_about_are_found(chain, data) -> None:
    index = data.draw(st.integers(0, len(chain) - 2))
    (one, hash_one), (two, hash_two) = chain[index], chain[index + 1]
    chain[index] = (replace(two, seq=one.seq), hash_one)
    chain[index + 1] = (replace(one, seq=two.seq), hash_two)
    same = replace(one, seq=0) == replace(two, seq=0)
    assert verify(chain).intact is same


@given(chains(), st.data())
def test_an_inserted_event_is_found_even_with_a_good_hash_of_its_own(chain, data) -> None:
    index = data.draw(st.integers(0, len(chain) - 1))
    before = chain[index - 1] if index else None
    seq = chain[index][0].seq
    put_in = replace(chain[index][0], seq=seq, actor="intruder")
    made = hash_of(GENESIS if before is None else before[1], put_in)
    moved = [(replace(e, seq=e.seq + 1), h) for e, h in chain[index:]]
    verdict = verify([*chain[:index], (put_in, made), *moved])
    assert verdict.broken_at == seq + 1


@given(chains(least=2), st.data())
def test_a_cut_at_the_end_is_found_against_a_noted_head_only(chain, data) -> None:
    noted = Head(chain[-1][0].seq, chain[-1][1])
    kept = chain[: data.draw(st.integers(0, len(chain) - 1))]
    assert verify(kept).intact
    last = kept[-1][0].seq if kept else 0
    assert verify(kept, noted).broken_at == last + 1


@given(chains(), st.data())
def test_a_chain_made_anew_is_found_against_a_noted_head(chain, data) -> None:
    noted = Head(chain[-1][0].seq, chain[-1][1])
    index = data.draw(st.integers(0, len(chain) - 1))
    anew, previous = chain[:index], chain[index - 1][1] if index else GENESIS
    for place, (entry, _) in enumerate(chain[index:]):
        changed = replace(entry, actor=entry.actor + "!") if place == 0 else entry
        previous = hash_of(previous, changed)
        anew.append((changed, previous))
    assert verify(anew).intact
    assert verify(anew, noted).broken_at == noted.seq


@given(details, text)
def test_different_events_never_have_one_canonical_form(detail, actor) -> None:
    entry = Entry(1, "t", actor, "o", "a", None, "k", "i", "r", None, detail)
    other = replace(entry, origin=actor, actor="o")
    assert (canonical(entry) == canonical(other)) is (actor == "o")
