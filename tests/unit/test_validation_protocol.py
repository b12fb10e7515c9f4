"""What the laws do not say by themselves: versions of RTR, serials, RPSL's lines, files, and their ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from controller.bgp import Prefix
from controller.validation import rtr_pdu
from controller.validation.checks import Answer, Check, after, block
from controller.validation.config import ConfigurationError, ValidationConfig, endpoint, read_config
from controller.validation.errors import ExportError
from controller.validation.reverse import reverse_zones
from controller.validation.rpsl import read_objects, route_objects
from controller.validation.rtr_client import Closed, RtrClient, Send, Synced, Timing
from controller.validation.vrp_export import read_export
from controller.validation.vrp_fetch import fetch, lasts_s
from controller.validation.vrps import Vrp, VrpSet, key_of
from tests.properties.test_validation_laws import A, B, end, notify, prefix_octets, report, response
from tests.validation_parts import is_running, until

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def sent(outputs: list) -> list[rtr_pdu.Pdu]:
    return [rtr_pdu.decode(o.data) for o in outputs if isinstance(o, Send)]


# -- RTR ----------------------------------------------------------------------------------------------------
def test_a_cache_that_reports_version_0_is_asked_again_in_version_0() -> None:
    client = RtrClient()
    assert sent(client.connected(0)) == [rtr_pdu.ResetQuery(1)]
    (closed,) = client.received(report(rtr_pdu.UNSUPPORTED_VERSION, version=0), 0)
    assert isinstance(closed, Closed) and closed.at_once
    client.disconnected()
    assert sent(client.connected(1)) == [rtr_pdu.ResetQuery(0)]
    (synced,) = client.received(response(version=0) + prefix_octets(A, version=0) + end(1, version=0), 1)
    assert isinstance(synced, Synced) and synced.vrps == {A}
    assert client.expires_at == 1 + 7200, "version 0 has no intervals of its own"


def test_a_cache_that_answers_in_version_0_is_followed_in_it() -> None:
    client = RtrClient()
    client.connected(0)
    outputs = client.received(response(version=0) + prefix_octets(A, version=0) + end(1, version=0), 0)
    assert isinstance(outputs[0], Synced) and client.version == 0
    error, closed = client.received(notify(2, version=1), 1)
    assert rtr_pdu.decode(error.data).code == rtr_pdu.UNEXPECTED_VERSION
    assert isinstance(closed, Closed)


def test_a_cache_without_version_0_is_asked_in_version_1_again() -> None:
    client = RtrClient()
    client.connected(0)
    client.received(report(rtr_pdu.UNSUPPORTED_VERSION), 0)
    client.disconnected()
    client.connected(0)
    (closed,) = client.received(report(rtr_pdu.UNSUPPORTED_VERSION, version=0), 0)
    assert not closed.at_once, "no endless circle"
    client.disconnected()
    assert sent(client.connected(0)) == [rtr_pdu.ResetQuery(1)]


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (prefix_octets(A), rtr_pdu.CORRUPT),
        (response() + prefix_octets(A) * 2, rtr_pdu.DUPLICATE),
        (response() + prefix_octets(A, announce=False), rtr_pdu.UNKNOWN_WITHDRAWAL),
        (response() + end(1, session=8), rtr_pdu.CORRUPT),
        (rtr_pdu.HEADER.pack(1, 99, 0, 8), rtr_pdu.UNSUPPORTED_TYPE),
        (rtr_pdu.HEADER.pack(9, 3, 0, 8), rtr_pdu.UNSUPPORTED_VERSION),
        (rtr_pdu.HEADER.pack(1, rtr_pdu.CACHE_RESET, 0, 8), rtr_pdu.CORRUPT),
    ],
)
def test_what_breaks_the_protocol_is_reported_and_the_connection_ended(octets: bytes, code: int) -> None:
    client = RtrClient()
    client.connected(0)
    error, closed = client.received(octets, 0)
    assert rtr_pdu.decode(error.data).code == code
    assert isinstance(closed, Closed)
    assert client.vrps == frozenset()


def test_an_error_report_is_never_answered_with_one() -> None:
    client = RtrClient()
    client.connected(0)
    broken = rtr_pdu.HEADER.pack(1, rtr_pdu.ERROR_REPORT, 0, 16) + b"\xff" * 8
    assert [type(o) for o in client.received(broken, 0)] == [Closed]


def test_a_cache_that_cannot_tell_the_difference_is_asked_for_all_and_the_set_stands_meanwhile() -> None:
    client = RtrClient()
    client.connected(0)
    client.received(response() + prefix_octets(A) + end(1), 0)
    assert sent(client.received(notify(2), 1)) == [rtr_pdu.SerialQuery(1, 7, 1)]
    assert sent(client.received(rtr_pdu.HEADER.pack(1, rtr_pdu.CACHE_RESET, 0, 8), 1)) == [
        rtr_pdu.ResetQuery(1)
    ]
    assert client.vrps == {A}
    client.received(response(9) + prefix_octets(B), 2)
    assert client.vrps == {A}, "half an answer is none"
    client.received(end(5, session=9), 2)
    assert (client.vrps, client.session, client.serial) == ({B}, 9, 5)
    assert client.received(notify(5, session=9), 3) == [], "nothing new"
    assert sent(client.received(notify(1, session=10), 3)) == [rtr_pdu.ResetQuery(1)]


def test_a_reconnection_goes_on_from_the_serial_until_the_set_has_expired() -> None:
    client = RtrClient(Timing(answer_s=5, expire_s=100))
    client.connected(0)
    client.received(response() + prefix_octets(A) + end(3), 0)
    assert client.deadline() == 50, "refreshed well before it expires"
    client.disconnected()
    assert sent(client.connected(99)) == [rtr_pdu.SerialQuery(1, 7, 3)]
    client.disconnected()
    assert not client.fresh(100)
    assert sent(client.connected(100)) == [rtr_pdu.ResetQuery(1)]
    assert client.tick(104) == []
    assert client.tick(105) == [Closed("no answer within 5 s")]


def test_intervals_out_of_bounds_are_brought_within() -> None:
    client = RtrClient()
    client.connected(0)
    client.received(response() + end(1, intervals=(0, 0, 0)), 0)
    assert (client.deadline(), client.retry_s, client.expires_at) == (1, 1, 600)


def test_a_vrp_at_either_end_of_a_prefix_lies_in_it() -> None:
    around = key_of(Prefix("192.0.2.0/24"))
    ends = [Vrp(key_of(Prefix(p)), 32, 1) for p in ("192.0.2.0/32", "192.0.2.255/32")]
    beyond = [Vrp(key_of(Prefix(p)), 32, 1) for p in ("192.0.1.255/32", "192.0.3.0/32")]
    assert VrpSet([*ends, *beyond]).overlapping(around) == tuple(ends)


# -- texts --------------------------------------------------------------------------------------------------
def test_rpsl_as_registries_write_it() -> None:
    text = """% This is the RIPE Database query service.

route:          192.0.2.0/24    # a comment
descr:          one
+
                two
+three
Origin:         as64500
mnt-by:         A-MNT
mnt-by:         B-MNT
source:         RIPE # Filtered

% another
mntner:         A-MNT
"""
    first, second = read_objects(text)
    assert first.values("descr") == ("one\ntwo\nthree",)
    assert second.kind == "mntner"
    (route,) = route_objects(text)
    assert (route.prefix, route.origin, route.source) == ("192.0.2.0/24", 64500, "RIPE")
    assert route.maintainers == ("A-MNT", "B-MNT")


@pytest.mark.parametrize(
    ("cidr", "zones"),
    [
        ("192.0.2.0/24", ("2.0.192.in-addr.arpa.",)),
        ("192.0.2.0/23", ("2.0.192.in-addr.arpa.", "3.0.192.in-addr.arpa.")),
        ("10.0.0.0/8", ("10.in-addr.arpa.",)),
        ("2001:db8::/32", ("8.b.d.0.1.0.0.2.ip6.arpa.",)),
        ("2001:db8::/31", ("8.b.d.0.1.0.0.2.ip6.arpa.", "9.b.d.0.1.0.0.2.ip6.arpa.")),
    ],
)
def test_reverse_zones(cidr: str, zones: tuple[str, ...]) -> None:
    assert reverse_zones(Prefix(cidr)) == zones


# -- exports ------------------------------------------------------------------------------------------------
def test_an_export_over_http_and_what_is_none(tmp_path: Path) -> None:
    class Serves(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/vrps.json" else 404)
            self.end_headers()
            self.wfile.write(b'{"roas": []}')

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Serves)
    thread = Thread(target=server.serve_forever)
    thread.start()
    base = f"http://127.0.0.1:{server.server_port}"
    try:
        assert asyncio.run(fetch(f"{base}/vrps.json", 10)) == b'{"roas": []}'
        with pytest.raises(ExportError, match="status 404"):
            asyncio.run(fetch(f"{base}/other", 10))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    with pytest.raises(ExportError, match="cannot be fetched"):
        asyncio.run(fetch(f"{base}/vrps.json", 10))
    with pytest.raises(ExportError, match="cannot be read: No such file"):
        asyncio.run(fetch(str(tmp_path / "none"), 10))


def test_an_export_that_nobody_renews_grows_old() -> None:
    built = NOW - timedelta(hours=5)
    body = b'{"metadata": {"buildtime": "%s"}, "roas": []}' % built.isoformat().encode()
    export = read_export(body, "e")
    assert lasts_s(export, "e", 3600 * 24, NOW) == 3600 * 19
    assert lasts_s(read_export(b'{"roas": []}', "e"), "e", 60, NOW) == 60
    with pytest.raises(ExportError, match="was built at"):
        lasts_s(export, "e", 3600, NOW)


@pytest.mark.parametrize(
    ("roa", "says"),
    [
        ('{"asn": "ASx", "prefix": "10.0.0.0/8", "maxLength": 8, "ta": ""}', "is no AS number"),
        ('{"asn": 4294967296, "prefix": "10.0.0.0/8", "maxLength": 8, "ta": ""}', "is no AS number"),
        ('{"asn": 1, "prefix": "10.0.0.1/8", "maxLength": 8, "ta": ""}', "host bits"),
        ('{"asn": 1, "prefix": "10.0.0.0/8", "maxLength": 7, "ta": ""}', "maxLength 7"),
        ('{"asn": 1, "prefix": "10.0.0.0/8", "maxLength": 33, "ta": ""}', "maxLength 33"),
        ('{"asn": 1, "prefix": "10.0.0.0/8", "maxLength": 8, "expries": 1}', "expries"),
        ('{"asn": 1, "prefix": "10.0.0.0/8"}', "maxLength"),
    ],
)
def test_an_entry_that_is_wrong_is_named(roa: str, says: str) -> None:
    good = '{"asn": 1, "prefix": "10.0.0.0/8", "maxLength": 8, "ta": ""}'
    with pytest.raises(ExportError, match=says) as caught:
        read_export(f'{{"roas": [{good}, {roa}]}}'.encode(), "e")
    assert "roas[1]" in str(caught.value) or "roas[...]" in str(caught.value)


# -- checks, configuration ----------------------------------------------------------------------------------
def test_what_was_found_missing_stays_so_while_nobody_can_be_asked() -> None:
    check = after(Check("rpki"), Answer("valid", "r"), NOW)
    check = after(check, Answer("missing", "no ROA"), NOW)
    check = after(check, Answer("failed", "away"), NOW)
    assert check.state == "valid"
    assert block(check, NOW) == "away" and check.trouble_kind == "missing"
    assert block(after(check, Answer("valid", "r"), NOW), NOW) is None


def test_a_configuration_in_each_format(tmp_path: Path) -> None:
    texts = {
        "a.json": '{"rtr": ["h:323"], "interval_s": 5}',
        "a.yaml": "rtr: ['h:323']\ninterval_s: 5\n",
        "a.toml": 'rtr = ["h:323"]\ninterval_s = 5\n',
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        found = read_config(tmp_path / name)
        assert found == ValidationConfig(rtr=("h:323",), interval_s=5)
        assert found.available() == ("rpki",) and found.required
    assert not ValidationConfig().required


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is no configuration"),
        ('{"rtrs": []}', "rtrs"),
        ('{"interval_s": 0}', "> 0|>= 0|0.0"),
        ('{"rtr": ["h"]}', "is no HOST:PORT"),
        ('{"rtr": ["h:99999"]}', "is no HOST:PORT"),
        ('{"rtr": ["a..b:1"]}', "is no HOST:PORT"),
        ('{"dns": ["resolver.example"]}', "is no address of a DNS server"),
        ('{"rtr": ["h:1", "h:1"]}', "given twice"),
        ('{"vrp_json": [" "]}', "is empty"),
        ('{"require_validation": true}', "needs a source"),
    ],
)
def test_a_wrong_configuration_says_what(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "v.json").write_text(text)
    with pytest.raises(ConfigurationError, match=says):
        read_config(tmp_path / "v.json")


def test_endpoints() -> None:
    assert endpoint("h:323") == ("h", 323)
    assert endpoint("[2001:db8::1]:53") == ("2001:db8::1", 53)
    assert endpoint("2001:db8::1", 53) == ("2001:db8::1", 53)
    assert endpoint("192.0.2.1", 53) == ("192.0.2.1", 53)
    assert endpoint("192.0.2.1:5353", 53) == ("192.0.2.1", 5353)


def test_the_tests_daemons_die_with_the_tests(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from tests.validation_parts import StayRtr, roa\n"
        "with StayRtr(Path(sys.argv[1]), [roa('192.0.2.0/24', 1)]) as cache:\n"
        "    print(cache._process.pid, flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    assert is_running(pid)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    until(
        lambda: not is_running(pid) or b"Z" in Path(f"/proc/{pid}/stat").read_bytes().split()[2:3], "its end"
    )
