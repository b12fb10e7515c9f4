"""Laws of address maps: addresses in one form, and the most specific binding serves them."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.addressing import address_map_rules as maps
from controller.addressing.errors import Refusal
from controller.addressing.loa_upload import clean_name, parse_upload
from controller.addressing.rules import bounds
from controller.bgp import Prefix

ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)


@given(ADDRESSES)
def test_a_canonical_address_is_taken_as_it_is(ip: str) -> None:
    assert maps.canonical_ip(ip, "/ip") == ip
    low, high = bounds(maps.around(ip)[0])
    assert low == maps.bytes_of(ip) == high


@given(st.text(max_size=60))
def test_any_text_is_a_canonical_address_or_refused(text: str) -> None:
    try:
        assert str(ipaddress.ip_address(maps.canonical_ip(text, "/ip"))) == text
    except Refusal as refusal:
        assert refusal.pointer == "/ip"


@given(ADDRESSES, st.lists(st.tuples(st.integers(0, 32), st.sampled_from(["CDN", "Magic Transit"]))))
def test_the_most_specific_binding_serves(ip: str, drawn: list[tuple[int, str]]) -> None:
    around = maps.around(ip)
    bound = {around[min(index, len(around) - 1)]: name for index, name in drawn}
    best = maps.serving(bound.items())
    lengths = [ipaddress.ip_network(cidr).prefixlen for cidr in bound]
    if not bound:
        assert best is None
    else:
        assert best is not None and ipaddress.ip_network(best[0]).prefixlen == max(lengths)
        assert ipaddress.ip_address(ip) in ipaddress.ip_network(best[0])
        assert bound[Prefix(best[0])] == best[1]


@given(st.text(max_size=80))
def test_a_server_name_is_taken_as_it_is_or_refused(text: str) -> None:
    try:
        assert maps.server_name(text, "/default_sni") == text
        assert text.isascii() and "." in text and not text.startswith((".", "-")) and not text.endswith(".")
    except Refusal as refusal:
        assert refusal.pointer == "/default_sni"


@given(st.binary(max_size=400))
def test_a_file_name_is_one_line_without_a_path(name: bytes) -> None:
    kept = clean_name(name)
    assert 1 <= len(kept) <= 255 and kept.isprintable()
    assert not set(kept) & set("/\\") and kept not in (".", "..")
    assert clean_name(kept.encode()) == kept


@given(st.binary(max_size=300), st.sampled_from(["", "b", "edge"]))
def test_any_body_is_a_letter_or_refused(body: bytes, boundary: str) -> None:
    with pytest.raises(Refusal):
        parse_upload(f"multipart/form-data; boundary={boundary}", body)


@given(st.binary(max_size=2000))
def test_a_letter_is_kept_byte_for_byte(rest: bytes) -> None:
    letter = b"%PDF-" + rest
    edge = b"edge-of-it"
    head = b'Content-Disposition: form-data; name="loa_document"; filename="a.pdf"\r\n\r\n'
    body = b"--" + edge + b"\r\n" + head + letter + b"\r\n--" + edge + b"--\r\n"
    if b"\r\n--" + edge in letter:
        return
    found = parse_upload("multipart/form-data; boundary=edge-of-it", body)
    assert b"".join(found.pieces()) == letter and found.size == len(letter)
    text = f'Content-Disposition: form-data; name="loa_document"\r\n\r\n{letter!r}'.encode()
    literal = b"--" + edge + b"\r\n" + text + b"\r\n--" + edge + b"--\r\n"
    sent = parse_upload("multipart/form-data; boundary=edge-of-it", literal)
    assert b"".join(sent.pieces()) == letter
