"""Laws of validation: octets of any kind, origin validation against its definition, what checks can do."""

from __future__ import annotations

import ipaddress
import itertools
import struct
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.bgp import Prefix
from controller.validation import rtr_pdu
from controller.validation.acceptance import Shrinkage, accept
from controller.validation.checks import Answer, Check, after, block, warnings
from controller.validation.errors import ExportError, LookUpError, RpslError, RtrError, ShrunkenError
from controller.validation.rpsl import read_objects, route_objects
from controller.validation.rtr_client import TABLE, Closed, Input, RtrClient, Send, State, Synced
from controller.validation.vrp_export import read_export
from controller.validation.vrps import Key, Vrp, VrpSet, key_of, validate_origin
from controller.validation.whois import read_answer

NOW = datetime(2026, 5, 1, tzinfo=UTC)


# -- origin validation ------------------------------------------------------------------------------------
@st.composite
def keys(draw, version: int = 4, base: int = 0xC0000000, bits: int = 6) -> Key:
    """Prefixes in a small space, so that they meet."""
    width = 32 if version == 4 else 128
    length = draw(st.integers(width - bits - 2, width))
    network = base + draw(st.integers(0, 2**bits - 1))
    return Key(version, network >> (width - length) << (width - length), length)


@st.composite
def vrps(draw, version: int = 4) -> Vrp:
    key = draw(keys(version))
    return Vrp(key, draw(st.integers(key.length, key.width)), draw(st.sampled_from([0, 1, 2, 3])))


@given(
    st.lists(st.one_of(vrps(), vrps(6)), max_size=12), st.one_of(keys(), keys(6)), st.sampled_from([0, 1, 2])
)
def test_origin_validation_is_as_rfc_6811_defines_it(found: list[Vrp], key: Key, asn: int) -> None:
    """Against the definition, word by word, on ipaddress's own idea of what covers what."""
    route = ipaddress.ip_network(key.prefix)
    covering = [
        v for v in found
        if v.key.version == key.version and route.subnet_of(ipaddress.ip_network(v.key.prefix))
    ]  # fmt: skip
    matched = [v for v in covering if v.asn == asn and v.asn != 0 and route.prefixlen <= v.max_length]
    expected = "valid" if matched else ("invalid" if covering else "not-found")
    origin = validate_origin(key.prefix, asn, VrpSet(found))
    assert origin.state == expected
    assert set(origin.covering) == set(covering)
    assert set(origin.matching) == set(matched)


@given(st.lists(vrps(), max_size=12), keys())
def test_overlapping_is_all_that_covers_or_lies_within(found: list[Vrp], key: Key) -> None:
    mine = ipaddress.ip_network(key.prefix)
    expected = {v for v in found if ipaddress.ip_network(v.key.prefix).overlaps(mine)}
    got = VrpSet(found).overlapping(key)
    assert set(got) == expected
    assert len(got) == len(set(got))


@given(
    st.lists(vrps(), max_size=8),
    st.lists(vrps(), max_size=8),
    st.one_of(keys(), keys(6)),
    st.sampled_from([1, 2]),
)
def test_what_no_changed_vrp_overlaps_keeps_its_verdict(
    old: list[Vrp], new: list[Vrp], key: Key, asn: int
) -> None:
    before, now = VrpSet(old), VrpSet(new)
    if not now.changed(before).overlapping(key):
        assert validate_origin(key.prefix, asn, before) == validate_origin(key.prefix, asn, now)
    assert len(now.changed(now)) == 0


@given(st.one_of(keys(), keys(6)))
def test_a_prefix_survives_its_numbers(key: Key) -> None:
    assert key_of(key.prefix) == key


# -- the RTR protocol -------------------------------------------------------------------------------------
def prefix_octets(vrp: Vrp, announce: bool = True, version: int = 1) -> bytes:
    width = vrp.key.width // 8
    kind = rtr_pdu.IPV4_PREFIX if width == 4 else rtr_pdu.IPV6_PREFIX
    return (
        rtr_pdu.HEADER.pack(version, kind, 0, 16 + width)
        + bytes([int(announce), vrp.key.length, vrp.max_length, 0])
        + vrp.key.network.to_bytes(width, "big")
        + struct.pack(">I", vrp.asn)
    )


def response(session: int = 7, version: int = 1) -> bytes:
    return rtr_pdu.HEADER.pack(version, rtr_pdu.CACHE_RESPONSE, session, 8)


def end(
    serial: int, session: int = 7, version: int = 1, intervals: tuple[int, int, int] = (3600, 600, 7200)
) -> bytes:
    if version == 0:
        return rtr_pdu.HEADER.pack(0, rtr_pdu.END_OF_DATA, session, 12) + struct.pack(">I", serial)
    body = struct.pack(">IIII", serial, *intervals)
    return rtr_pdu.HEADER.pack(1, rtr_pdu.END_OF_DATA, session, 24) + body


def notify(serial: int, session: int = 7, version: int = 1) -> bytes:
    return rtr_pdu.encode(rtr_pdu.SerialNotify(version, session, serial))


def report(code: int, version: int = 1) -> bytes:
    return rtr_pdu.encode(rtr_pdu.ErrorReport(version, code, b"", "no"))


A, B = Vrp(Key(4, 0xC0000200, 24), 24, 64500), Vrp(Key(6, 0x20010DB8 << 96, 32), 48, 0)

PDUS = st.one_of(
    st.builds(prefix_octets, st.sampled_from([A, B]), st.booleans(), st.sampled_from([0, 1])),
    st.builds(response, st.sampled_from([7, 8]), st.sampled_from([0, 1])),
    st.builds(end, st.integers(0, 3), st.sampled_from([7, 8]), st.sampled_from([0, 1])),
    st.builds(notify, st.integers(0, 3), st.sampled_from([7, 8]), st.sampled_from([0, 1])),
    st.builds(report, st.integers(0, 9), st.sampled_from([0, 1, 2])),
    st.just(rtr_pdu.HEADER.pack(1, rtr_pdu.CACHE_RESET, 0, 8)),
    st.just(rtr_pdu.HEADER.pack(1, rtr_pdu.ROUTER_KEY, 0, 40) + bytes(32)),
    st.just(rtr_pdu.encode(rtr_pdu.ResetQuery(1))),
    st.just(rtr_pdu.encode(rtr_pdu.SerialQuery(1, 7, 1))),
)


@st.composite
def garbled(draw) -> bytes:
    """PDUs that are whole, cut off, changed in an octet, or no PDUs at all."""
    octets = bytearray(b"".join(draw(st.lists(PDUS, max_size=8))) or b"\0")
    for _ in range(draw(st.integers(0, 3))):
        octets[draw(st.integers(0, len(octets) - 1))] = draw(st.integers(0, 255))
    return bytes(octets[: draw(st.integers(0, len(octets)))] + draw(st.binary(max_size=20)))


@given(st.one_of(garbled(), st.binary(max_size=300)))
def test_any_octets_are_pdus_or_the_typed_error(octets: bytes) -> None:
    try:
        while (raw := rtr_pdu.split(octets)) is not None:
            assert 8 <= len(raw) <= len(octets)
            rtr_pdu.decode(raw)
            octets = octets[len(raw) :]
    except RtrError as error:
        assert 0 <= error.code <= 8 and str(error)


@given(st.lists(st.tuples(garbled(), st.sampled_from(["data", "tick", "lost"])), max_size=12), st.data())
def test_no_history_of_octets_breaks_the_client(history: list, data: st.DataObject) -> None:
    """Nothing raises; what it has is only ever what a whole answer gave; it can always go on."""
    client, now, held = RtrClient(), 0.0, frozenset()
    outputs = client.connected(now)
    for octets, what in history:
        now += data.draw(st.sampled_from([0.0, 1.0, 40.0, 4000.0, 10_000.0]))
        if what == "lost" or client.state is State.CLOSED:
            client.disconnected()
            outputs = client.connected(now)
        elif what == "tick":
            outputs = client.tick(now)
        else:
            outputs = client.received(octets, now)
        for output in outputs:
            if isinstance(output, Synced):
                held = output.vrps
            if isinstance(output, Closed):
                assert client.state is State.CLOSED and output.reason
            if isinstance(output, Send):
                rtr_pdu.decode(output.data)
        assert client.vrps == held
        deadline = client.deadline()
        assert (deadline is None) == (client.state is State.CLOSED)


@given(st.lists(st.integers(1, 40), max_size=40))
def test_how_octets_are_cut_up_does_not_matter(cuts: list[int]) -> None:
    octets = notify(1) + response() + prefix_octets(A) + prefix_octets(B) + end(1) + notify(2)
    whole, pieces = RtrClient(), RtrClient()
    whole.connected(0)
    pieces.connected(0)
    expected = whole.received(octets, 1)
    got = []
    for cut in [*cuts, len(octets)]:
        got += pieces.received(octets[:cut], 1)
        octets = octets[cut:]
    assert got == expected
    assert [type(o) for o in got] == [Synced, Send]


def test_the_table_has_an_entry_for_all_that_can_come() -> None:
    assert set(TABLE) == set(itertools.product([s for s in State if s is not State.CLOSED], Input))


@given(st.lists(st.tuples(st.sampled_from([A, B]), st.booleans()), max_size=6))
def test_deltas_lead_where_the_whole_set_is(steps: list[tuple[Vrp, bool]]) -> None:
    client, wanted = RtrClient(), {A}
    client.connected(0)
    client.received(response() + prefix_octets(A) + end(0), 0)
    changes = b""
    for vrp, announce in steps:
        if announce == (vrp in wanted):
            continue  # an honest cache sends what changes
        (wanted.add if announce else wanted.remove)(vrp)
        changes += prefix_octets(vrp, announce)
    client.received(notify(1), 1)
    client.received(response() + changes + end(1), 1)
    assert client.vrps == wanted


# -- texts ------------------------------------------------------------------------------------------------
LINES = st.sampled_from(
    ["route: 192.0.2.0/24", "route6: 2001:db8::/32", "origin: AS64500", "source: T", "", " more", "+",
     "\tmore", "% comment", "# comment", "remarks: a # b", "origin: none", "no attribute",
     "route: 192.0.2.1/24",
     "route: x", "source:", "*xx-route: 192.0.2.0/24", "origin: AS99999999999"]
)  # fmt: skip


@given(st.one_of(st.text(), st.lists(LINES).map("\n".join)))
def test_any_text_is_rpsl_or_the_typed_error(text: str) -> None:
    try:
        assert all(o.kind for o in read_objects(text))
        for route in route_objects(text):
            assert ipaddress.ip_network(route.prefix) and 0 <= route.origin < 2**32
    except RpslError as error:
        assert str(error)


@given(st.one_of(st.binary(), st.lists(LINES).map("\n".join).map(str.encode)))
def test_any_answer_of_a_whois_server_is_objects_or_the_typed_error(body: bytes) -> None:
    try:
        read_answer(body, "w")
    except LookUpError as error:
        assert str(error)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
ROA = st.fixed_dictionaries(
    {
        "asn": st.one_of(JSON, st.just("AS1")),
        "prefix": st.one_of(JSON, st.just("10.0.0.0/8"), st.just("::/0")),
    },
    optional={"maxLength": st.one_of(st.integers(0, 130), JSON), "ta": JSON, "expires": JSON, "x": JSON},
)


@given(st.one_of(JSON, st.fixed_dictionaries({"roas": st.lists(ROA, max_size=3)}), st.binary()))
def test_any_export_is_vrps_or_the_typed_error(value: object) -> None:
    import json

    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    try:
        for vrp in read_export(body, "e").vrps:
            assert vrp.key.length <= vrp.max_length <= vrp.key.width and 0 <= vrp.asn < 2**32
    except ExportError as error:
        assert str(error)


# -- acceptance, checks -----------------------------------------------------------------------------------
@given(st.integers(1, 10_000), st.integers(0, 10_000))
def test_a_set_is_taken_unless_it_is_empty_or_lost_too_much(kept: int, offered: int) -> None:
    limit = Shrinkage(20, 5)
    lost = max(kept - offered, 0)
    if offered == 0 or (lost > 5 and lost > kept / 5):
        with pytest.raises(ShrunkenError, match=str(kept)):
            accept("s", kept, None, offered, limit)
    else:
        accept("s", kept, None, offered, limit)


ANSWERS = st.builds(
    Answer,
    outcome=st.sampled_from(["valid", "invalid", "missing", "failed"]),
    reason=st.sampled_from(["because", "otherwise"]),
    expires_at=st.one_of(st.none(), st.integers(0, 60).map(lambda d: NOW + timedelta(days=d))),
)


@given(st.lists(ANSWERS, min_size=1, max_size=10))
def test_invalid_takes_evidence_and_valid_outlives_what_is_no_evidence(answers: list[Answer]) -> None:
    check, last_evidence, at = Check("rpki"), None, NOW
    for answer in answers:
        at += timedelta(hours=1)
        check = after(check, answer, at)
        if answer.outcome in ("valid", "invalid"):
            last_evidence = answer.outcome
    if last_evidence == "valid":
        assert check.state == "valid"
    if check.state == "invalid":
        assert answers[-1].outcome == "invalid"
    if answers[-1].outcome in ("missing", "failed"):
        assert check.state in ("valid", "error")
        assert warnings(check, at), "somebody must be told"
    assert check.at == at
    if answers[-1].outcome in ("invalid", "missing"):
        assert block(check, at) is not None


@given(st.integers(-5, 60))
def test_an_ending_roa_warns_at_30_7_and_1_days(days: int) -> None:
    ends = NOW + timedelta(days=days)
    check = after(Check("rpki"), Answer("valid", "r", expires_at=ends), NOW)
    found = warnings(check, NOW)
    assert bool(found) == (days <= 30)
    assert (block(check, NOW) is not None) == (days <= 30)
    if found:
        stage = "has ended" if days <= 0 else next(f"within {d} days" for d in (1, 7, 30) if days <= d)
        assert stage in found[0]


def test_prefixes_are_prefixes() -> None:
    assert Key(4, 0xC0000200, 24).prefix == Prefix("192.0.2.0/24")
