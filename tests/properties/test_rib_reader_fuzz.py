"""Whatever a daemon says, a reader gives rows or a ReaderError: it never falls over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.bgp import Prefix
from controller.observe.readers import ReaderError, bird_reply, frr_reply, openbgpd_reply
from controller.observe.readers.source import Source

RECORDED = Path(__file__).parents[1] / "unit" / "recorded"
SOURCE = Source("n", "daemon", {"10.9.1.1": "o"})

Reader = Callable[[bytes], object]


def bird_routes(raw: bytes) -> object:
    return bird_reply.read_routes(SOURCE, bird_reply.read_reply(SOURCE, raw))


def bird_protocols(raw: bytes) -> object:
    return bird_reply.read_protocols(SOURCE, bird_reply.read_reply(SOURCE, raw))


def frr_one(raw: bytes) -> object:
    return frr_reply.read_destination(SOURCE, Prefix("2001:db8:2000::/48"), raw)


READERS: dict[str, Reader] = {
    "bird-master4.txt": bird_routes,
    "bird-one-ipv6.txt": bird_routes,
    "bird-protocols.txt": bird_protocols,
    "frr-ipv4.json": lambda raw: frr_reply.read_table(SOURCE, raw),
    "frr-one-ipv6.json": frr_one,
    "frr-summary.json": lambda raw: frr_reply.read_sessions(SOURCE, raw),
    "openbgpd-rib.json": lambda raw: openbgpd_reply.read_rib(SOURCE, None, raw),
    "openbgpd-summary.json": lambda raw: openbgpd_reply.read_sessions(SOURCE, raw),
}
RAW = {name: (RECORDED / name).read_bytes() for name in READERS}

edits = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 40), st.binary(max_size=12)),
    min_size=1,
    max_size=4,
)


@given(name=st.sampled_from(sorted(READERS)), edits=edits)
@settings(max_examples=400, deadline=None)
def test_mutated_answers(name: str, edits: list[tuple[float, int, bytes]]) -> None:
    raw = RAW[name]
    for where, length, put in edits:
        at = int(where * len(raw))
        raw = raw[:at] + put + raw[at + length :]
    tolerates(READERS[name], raw)


@given(name=st.sampled_from(sorted(READERS)), raw=st.binary(max_size=200))
@settings(deadline=None)
def test_noise(name: str, raw: bytes) -> None:
    tolerates(READERS[name], raw)


@given(
    name=st.sampled_from([n for n in sorted(READERS) if n.endswith(".json")]),
    drop=st.integers(0, 10_000),
    put=st.sampled_from([b"null", b"[]", b"{}", b"-1", b'"x"', b"true", b"1e400", b'"\\ud800"']),
)
@settings(max_examples=300, deadline=None)
def test_json_values_of_other_types(name: str, drop: int, put: bytes) -> None:
    values = [i for i in range(len(RAW[name])) if RAW[name][i : i + 1] == b":"]
    at = values[drop % len(values)]
    end = at + 1
    while RAW[name][end : end + 1] not in (b",", b"}", b"\n", b""):
        end += 1
    tolerates(READERS[name], RAW[name][: at + 1] + put + RAW[name][end:])


@given(name=st.sampled_from(["bird-master4.txt", "bird-one-ipv6.txt", "bird-protocols.txt"]), cut=st.data())
@settings(deadline=None)
def test_an_answer_of_bird_that_ends_early_is_never_taken_for_a_whole_one(
    name: str, cut: st.DataObject
) -> None:
    raw = RAW[name]
    at = cut.draw(st.integers(0, len(raw) - 1))
    assert not bird_reply.complete(bytearray(raw[:at])) or at == len(raw)


def tolerates(reader: Reader, raw: bytes) -> None:
    try:
        reader(raw)
    except ReaderError as error:
        assert "n (daemon)" in str(error)
        assert "\n" not in str(error)
