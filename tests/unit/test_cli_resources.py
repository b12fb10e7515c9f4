"""The resources' commands against the API: dry runs, reasons, ETags, waiting, one line for a mistake."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence

import pytest
from sqlalchemy import select

from controller.addressing.tables import EventRow
from controller.cli.app import run
from tests.addressing_api import Api, furnished, running_api
from tests.command_line import change_sets, speaker

CIDR = "198.18.0.0/22"


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    waits = {"site1": {"state": "waiting", "reason": "no machine"}}
    with running_api(tmp_path_factory.mktemp("cli"), extra_routers=[change_sets("held", waits)]) as running:
        furnished(running, cidr=CIDR)
        yield running


@pytest.fixture
def herald(api: Api, monkeypatch, tmp_path, capsys):
    return speaker(api, monkeypatch, tmp_path, capsys)


def test_lists_and_shows_of_parts(herald) -> None:
    (binding,) = herald("bindings", "list")[0]
    assert (binding["account_id"], binding["cidr"], binding["service_id"]) == ("acme", CIDR, "cdn")
    assert herald("bindings", "list", CIDR)[0] == [binding]
    assert herald("bindings", "show", CIDR)[0]["id"] == binding["id"]
    (bgp,) = herald("bgp-prefixes", "list", "--account", "acme")[0]
    assert herald("bgp-prefixes", "show", CIDR)[0]["id"] == bgp["id"]
    _, err = herald("bindings", "show", "198.18.3.0/24", status=1)
    assert err == f"herald: no binding is '198.18.3.0/24': there are {CIDR}\n"


def test_a_dry_run_shows_a_plan_and_leaves_all_as_it_is(api: Api, herald, capsys) -> None:
    before = api.counts()
    for argv in (
        ["prefixes", "add", "203.0.113.0/24", "--account", "acme"],
        ["prefixes", "change", CIDR, "--description", "x"],
        ["bgp-prefixes", "add", "198.18.3.0/24"],
        ["bgp-prefixes", "change", CIDR, "--prepends", "2"],
        ["bindings", "delete", CIDR],
        ["accounts", "add", "Globex", "--id", "globex"],
        ["announce", CIDR],
    ):
        body, _ = herald(*argv, "--dry-run")
        assert body["change_set"] is None and set(body["plan"]) >= {"change_sets", "share"}, argv
        assert run([*argv, "--dry-run"]) == 0
        assert capsys.readouterr().out.startswith("Dry run: nothing was changed.\n"), argv
    assert api.counts() == before


def test_a_reason_is_kept(api: Api, herald) -> None:
    herald("prefixes", "change", CIDR, "--description", "y", "--reason", "Ticket 7")
    with api.store.read() as session:
        newest = session.scalars(select(EventRow).order_by(EventRow.seq.desc())).first()
        assert newest is not None and newest.reason == "Ticket 7"


def test_an_etag_of_show_guards_a_change(herald) -> None:
    etag = herald("prefixes", "show", CIDR)[0]["etag"]
    after = herald("prefixes", "change", CIDR, "--description", "one", "--if-match", etag)[0]["etag"]
    _, err = herald("prefixes", "change", CIDR, "--description", "two", "--if-match", etag, status=1)
    assert "precondition_failed" in err and err.count("\n") == 1
    herald("prefixes", "change", CIDR, "--description", "two", "--if-match", f'"{after}"')


def test_a_held_change_set_fails_a_command_that_waits(herald) -> None:
    body, err = herald("bgp-prefixes", "change", CIDR, "--prepends", "1", "--wait", "sent", status=1)
    assert body["progress"][0]["state"] == "held" and "is held: site1: no machine" in err
    body, _ = herald("bgp-prefixes", "change", CIDR, "--prepends", "0")
    assert body["change_set"] and "progress" not in body


@pytest.mark.parametrize(
    ("argv", "status", "says"),
    [
        (["prefixes", "add", "198.18.0.1/24", "--account", "acme"], 1, "(/cidr)"),
        (["prefixes", "add", "x", "--account", "acme"], 1, "(/cidr)"),
        (["prefixes", "add", "203.0.113.0/24", "--account", "acme", "--asn", "-4"], 1, "(/asn)"),
        (["prefixes", "add", "203.0.113.0/24", "--account", "acme", "--asn", "x"], 2, "--asn"),
        (["prefixes", "add", "203.0.113.0/24", "--account", "nobody"], 1, "nobody"),
        (["prefixes", "add", "203.0.113.0/24", "--account", "../x"], 1, "not_found"),
        (["prefixes", "show", ".."], 1, "'..' is no id"),
        (["prefixes", "show", "a" * 300], 1, "is no id"),
        (["prefixes", "show", "nothing"], 1, "no prefix has the id"),
        (["prefixes", "show", "x", "--account", "acme"], 1, "not_found"),
        (["prefixes", "show", "192.0.2.1/24"], 1, "did you mean 192.0.2.0/24"),
        (["prefixes", "show", CIDR, "--account", "globex"], 1, "is account acme's"),
        (["prefixes", "change", CIDR, "--description", "x", "--reason", "é"], 2, "--reason"),
        (["prefixes", "change", CIDR, "--description", "x", "--reason", ""], 2, "--reason"),
        (["prefixes", "change", CIDR, "--description", "x", "--if-match", 'a"b'], 2, "--if-match"),
        (["prefixes", "change", CIDR], 2, "--description"),
        (["prefixes", "list", "--token", "é"], 1, "the token"),
        (["prefixes", "list", "--url", "http://", "--token", "x"], 1, "no URL"),
        (["bindings", "add", CIDR, "nothing"], 1, "(/service_id)"),
        (["bgp-prefixes", "change", CIDR], 2, "say what is to change"),
        (["bgp-prefixes", "change", CIDR, "--prepends", "9"], 2, "--prepends"),
        (["tokens", "delete", ".."], 1, "is no id"),
        (["tokens", "delete", "nothing"], 1, "not_found"),
        (["accounts", "add", "\udce9"], 2, "UTF-8"),
        (["services", "add", "", "x"], 1, "(/id)"),
    ],
)
def test_a_mistake_is_one_line(  # noqa: PLR0917 (parameters and fixtures)
    argv, status, says, api: Api, herald, capsys
) -> None:
    before = api.counts()
    _, err = herald(*argv, status=status)
    assert err.startswith("herald: ") and err.count("\n") == 1 and says in err
    assert api.counts() == before


# -- in a terminal ----------------------------------------------------------------------------------------
CODE = "import sys; from controller.cli.app import run; sys.exit(run(sys.argv[1:]))"


def in_terminal(columns: int, argv: Sequence[str]) -> str:
    """Return what a command prints in a terminal of this width."""
    ours, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, *argv], stdin=terminal, stdout=terminal, stderr=terminal, env=environment
    )
    os.close(terminal)
    found = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the terminal is gone with its program
            break
        if not part:
            break
        found += part
    os.close(ours)
    assert process.wait(10) == 0, found
    return found.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_table_fits_the_terminal_and_says_what_is_left_out(api: Api, herald, columns: int) -> None:
    text = in_terminal(columns, ["prefixes", "list"])
    assert "\x1b[1mprefix" in text and CIDR in text
    body = [line for line in text.splitlines() if "not shown" not in line]
    assert max(len(line.replace("\x1b[1m", "").replace("\x1b[0m", "")) for line in body) <= columns
    assert ("not shown in 40 columns" in text) == (columns == 40)


def test_no_terminal_no_colours_and_all_columns(herald, capsys) -> None:
    assert run(["prefixes", "list"]) == 0
    out, err = capsys.readouterr()
    assert "\x1b" not in out and err == "" and "description" in out


def test_json_is_utf8_in_any_locale(herald) -> None:
    herald("accounts", "add", "日本", "--id", "jp")
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    for argv in (["accounts", "list", "--json"], ["accounts", "list"]):
        done = subprocess.run(
            [sys.executable, "-c", CODE, *argv], capture_output=True, env=ascii_only, check=True
        )
        assert done.stderr == b""
        if argv[-1] == "--json":
            assert "日本" in [a["name"] for a in json.loads(done.stdout)]
