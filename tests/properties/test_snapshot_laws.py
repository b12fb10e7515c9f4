"""Laws of trees, chunks and compiling, over random histories."""

from __future__ import annotations

import ipaddress
import itertools

from hypothesis import given
from hypothesis import strategies as st

from controller.bgp import Prefix
from controller.snapshots.compile import CompileError, apply, candidate, validate
from controller.snapshots.diff import (
    apply_to_chunk,
    apply_to_tree,
    diff_chunks,
    diff_trees,
    merge_chunks,
    merge_trees,
)
from controller.snapshots.model import (
    BgpPrefixObject,
    BindingObject,
    Change,
    ChangeSet,
    Chunk,
    ChunkHash,
    PrefixObject,
    decode_chunk,
    encode_chunk,
    hash_chunk,
)

HASHES = st.sampled_from([ChunkHash(c * 64) for c in "abcd"])
TREES = st.dictionaries(st.sampled_from(["acme", "globex", "initech", "umbrella"]), HASHES)

PREFIXES = [Prefix("192.0.2.0/24"), Prefix("198.18.0.0/22"), Prefix("2001:db8:1000::/44")]


def parts_of(prefix: Prefix, longest: int) -> list[Prefix]:
    network = ipaddress.ip_network(prefix)
    return [
        Prefix(str(part))
        for length in range(network.prefixlen, longest + 1)
        for part in list(network.subnets(new_prefix=length))[:3]
    ]


@st.composite
def changes(draw: st.DrawFn) -> Change:
    """Changes that mostly fit each other: few ids, each with its own CIDR."""
    which = draw(st.integers(0, len(PREFIXES) - 1))
    parent, prefix_id = PREFIXES[which], f"p{which}"
    parts = parts_of(parent, 48 if ":" in parent else 24)
    part = draw(st.integers(0, len(parts) - 1))
    kind = draw(st.sampled_from(["prefix", "bgp_prefix", "binding", "remove"]))
    if kind == "prefix":
        return Change(prefix=PrefixObject(prefix_id, parent, draw(st.sampled_from([None, 64511]))))
    if kind == "bgp_prefix":
        return Change(
            bgp_prefix=BgpPrefixObject(
                f"g{which}.{part}",
                prefix_id,
                parts[part],
                None,
                advertised=draw(st.booleans()),
                sites=draw(st.sampled_from([None, ("site1",), ()])),
                prepends=draw(st.integers(0, 3)),
            )
        )
    if kind == "binding":
        service = draw(st.sampled_from(["cdn", "spectrum"]))
        return Change(binding=BindingObject(f"b{which}.{part}", prefix_id, parts[part], service))
    target = draw(
        st.sampled_from(
            [("prefix", prefix_id), ("bgp_prefix", f"g{which}.{part}"), ("binding", f"b{which}.{part}")]
        )
    )
    return Change(remove=target)  # type: ignore[arg-type]  # a literal, which sampled_from widens


ONBOARDED = [Change(prefix=PrefixObject(f"p{n}", cidr, None)) for n, cidr in enumerate(PREFIXES)]

HISTORIES = st.lists(st.lists(changes(), min_size=1, max_size=4), max_size=12).map(
    lambda history: [ONBOARDED, *history]
)


def change_set(changes_: list[Change], number: int = 0) -> ChangeSet:
    return ChangeSet(f"cs{number}", "acme", "test", "", "2026-01-01T00:00:00Z", tuple(changes_))


def run(history: list[list[Change]]) -> list[Chunk]:
    """Return the chunks that the history passes through; what does not fit is left out."""
    chunks: list[Chunk] = []
    for number, step in enumerate(history):
        try:
            chunks.append(apply(chunks[-1] if chunks else None, change_set(step, number)))
        except CompileError:
            continue
    return chunks


@given(TREES, TREES, TREES)
def test_tree_laws(a: dict[str, ChunkHash], b: dict[str, ChunkHash], c: dict[str, ChunkHash]) -> None:
    assert apply_to_tree(a, diff_trees(a, b)) == b
    assert diff_trees(a, dict(a)) == ()
    assert merge_trees(diff_trees(a, b), diff_trees(b, c)) == diff_trees(a, c)
    assert len(diff_trees(a, b)) <= len(a.keys() | b.keys())


@given(HISTORIES)
def test_chunk_laws(history: list[list[Change]]) -> None:
    chunks = run(history)
    for a, b in itertools.pairwise(chunks):
        assert apply_to_chunk("acme", a, diff_chunks(a, b)) == b
        assert diff_chunks(a, a) == ()
    for a, b, c in zip(chunks, chunks[1:], chunks[2:], strict=False):
        assert merge_chunks(diff_chunks(a, b), diff_chunks(b, c)) == diff_chunks(a, c)
    if chunks:
        assert apply_to_chunk("acme", None, diff_chunks(None, chunks[-1])) == chunks[-1]


@given(HISTORIES)
def test_whatever_compiles_is_valid_and_survives_its_encoding(history: list[list[Change]]) -> None:
    for chunk in run(history):
        validate(chunk)
        body = encode_chunk(chunk)
        assert decode_chunk(body, hash_chunk(body)) == chunk
        bound = [b.cidr for b in chunk.bindings]
        for bgp in chunk.bgp_prefixes:
            if bgp.advertised:
                network = ipaddress.ip_network(bgp.cidr)
                assert any(network.overlaps(ipaddress.ip_network(c)) for c in bound)


@given(HISTORIES, TREES)
def test_a_candidate_changes_one_account_and_no_other(
    history: list[list[Change]], others: dict[str, ChunkHash]
) -> None:
    for number, step in enumerate(history):
        try:
            found = candidate(others, None, change_set(step, number))
        except CompileError:
            continue
        after = apply_to_tree(others, (found.step,))
        assert {a: h for a, h in after.items() if a != "acme"} == {
            a: h for a, h in others.items() if a != "acme"
        }
        assert after["acme"] == found.hash


@given(HISTORIES)
def test_compiling_is_the_same_whatever_the_objects_order(history: list[list[Change]]) -> None:
    """Equal configuration gives equal bytes, whatever way led there."""
    for chunk in run(history):
        puts = [
            *(Change(prefix=p) for p in chunk.prefixes),
            *(Change(bgp_prefix=b) for b in chunk.bgp_prefixes),
            *(Change(binding=b) for b in chunk.bindings),
        ]
        forward, backward = apply(None, change_set(puts)), apply(None, change_set(puts[::-1]))
        assert encode_chunk(forward) == encode_chunk(backward) == encode_chunk(chunk)
