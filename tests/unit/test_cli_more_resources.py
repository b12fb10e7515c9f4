"""Delegations, address maps, letters, tokens and the audit by the command line, against the API."""

from __future__ import annotations

import pytest

from tests.addressing_api import Api, furnished, running_api
from tests.command_line import readable, speaker

CIDR = "198.18.0.0/22"
PART = "198.18.1.0/24"


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with running_api(tmp_path_factory.mktemp("cli")) as running:
        furnished(running, cidr=CIDR)
        running.client().create_account("Globex", id="globex")
        yield running


@pytest.fixture
def herald(api: Api, monkeypatch, tmp_path, capsys):
    return speaker(api, monkeypatch, tmp_path, capsys)


def test_a_delegation_from_beginning_to_end(herald, capsys) -> None:
    made, _ = herald("delegations", "add", PART, "globex")
    assert made["delegated_account_id"] == "globex"
    assert herald("delegations", "list")[0][0]["account_id"] == "acme"
    assert herald("delegations", "list", CIDR)[0][0]["id"] == made["id"]
    shown, _ = herald("delegations", "show", PART)
    assert shown["may_advertise"] is False
    herald("delegations", "change", made["id"], "--advertise", "--if-match", shown["etag"])
    (received,) = herald("delegations", "received", "--account", "globex")[0]
    assert received["may_advertise"] is True and received["cidr"] == PART
    readable(capsys, ["delegations", "list"], ["delegations", "received"], ["delegations", "show", PART])
    _, err = herald("delegations", "add", PART, "nobody", status=1)
    assert "(/delegated_account_id)" in err
    assert herald("delegations", "delete", PART)[0]["cidr"] == PART
    assert herald("delegations", "list")[0] == []
    _, err = herald("delegations", "delete", PART, status=1)
    assert err == f"herald: no delegation is '{PART}': there are none\n"


def test_an_address_map_from_beginning_to_end(herald, capsys) -> None:
    made, _ = herald(
        "address-maps",
        "add",
        "--account",
        "acme",
        "--ip",
        "198.18.0.1",
        "--zone",
        "z",
        "--description",
        "Shop",
    )
    assert [i["ip"] for i in made["ips"]] == ["198.18.0.1"] and made["enabled"] is False
    herald("address-maps", "put", "Shop", "--ip", "198.18.0.2")
    herald("address-maps", "put", made["id"], "--member", "acme")
    herald("address-maps", "take", "Shop", "--zone", "z")
    shown, _ = herald("address-maps", "show", "Shop")
    assert [i["ip"] for i in shown["ips"]] == ["198.18.0.1", "198.18.0.2"]
    assert [(m["kind"], m["identifier"]) for m in shown["memberships"]] == [("account", "acme")]
    herald("address-maps", "change", "Shop", "--enable", "--if-match", shown["etag"])
    readable(capsys, ["address-maps", "list"], ["address-maps", "show", "Shop"])
    assert "address_map_is_enabled" in herald("address-maps", "delete", "Shop", status=1)[1]
    assert herald("address-maps", "change", "Shop", "--disable")[0]["enabled"] is False
    herald("address-maps", "delete", "Shop")
    assert herald("address-maps", "list")[0] == []
    for argv in (["put", "Shop"], ["take", "Shop", "--ip", "a", "--zone", "b"], ["change", "Shop"]):
        _, err = herald("address-maps", *argv, status=2)
        assert err.count("\n") == 1


def test_a_letter_from_beginning_to_end(herald, capsys, tmp_path) -> None:
    letter, copy = tmp_path / "letter.pdf", tmp_path / "copy.pdf"
    letter.write_bytes(b"%PDF-1.7\n\r\n\x00 letter")
    dry, _ = herald("loa", "add", str(letter), "--account", "acme", "--dry-run")
    assert dry["plan"]["change_sets"] == [] and herald("loa", "list")[0] == []
    made, _ = herald("loa", "add", str(letter), "--account", "acme", "--reason", "Ticket 7")
    assert herald("loa", "download", made["id"], str(copy))[0]["size_bytes"] == len(letter.read_bytes())
    assert copy.read_bytes() == letter.read_bytes()
    assert "File exists" in herald("loa", "download", made["id"], str(copy), status=1)[1]
    onboarded, _ = herald("prefixes", "add", "203.0.113.0/24", "--account", "acme", "--loa", made["id"])
    shown, _ = herald("loa", "show", "letter.pdf")
    assert shown["prefix_ids"] == [onboarded["id"]]
    assert herald("loa", "verify", made["id"], "--if-match", shown["etag"])[0]["verified"] is True
    readable(capsys, ["loa", "list"], ["loa", "show", made["id"]])
    assert herald("loa", "withdraw", made["id"])[0]["withdrawn_at"]
    letter.write_bytes(b"no letter")
    assert "not_a_pdf" in herald("loa", "add", str(letter), "--account", "acme", status=1)[1]
    assert "cannot be read" in herald("loa", "add", str(tmp_path), "--account", "acme", status=1)[1]


def test_tokens_with_scopes_an_end_and_what_was_issued_with_them(herald, capsys) -> None:
    first, _ = herald("tokens", "add", "--account", "acme")
    scoped = [
        "--scope",
        "prefixes:read",
        "--scope",
        "bindings:read,create",
        "--expires",
        "2099-01-31T12:00:00Z",
    ]
    second, _ = herald("tokens", "add", "--account", "acme", *scoped, "--token", first["token"])
    assert second["scopes"] == {"prefixes": ["read"], "bindings": ["read", "create"]}
    assert herald("tokens", "show", second["id"])[0]["expires_at"].startswith("2099-01-31T12:00:00")
    readable(capsys, ["tokens", "list"], ["tokens", "show", second["id"]])
    revoked, _ = herald("tokens", "delete", first["id"], "--with-issued")
    assert revoked["revoked"] == [first["id"], second["id"]]
    assert "is no scope" in herald("tokens", "add", "--scope", "prefixes", status=1)[1]
    assert "is no time" in herald("tokens", "add", "--expires", "soon", status=1)[1]
    assert "--role" in herald("tokens", "add", "--role", "king", status=2)[1]


def test_the_audit(api: Api, herald, capsys) -> None:
    herald("prefixes", "change", CIDR, "--description", "audited", "--reason", "Ticket 8")
    newest = herald("audit", "list", "--last", "1")[0][0]
    assert (newest["reason"], newest["account_id"]) == ("Ticket 8", "acme")
    events, _ = herald("audit", "list", "--account", "acme", "--object", newest["object_id"])
    assert [e["seq"] for e in events] == sorted(e["seq"] for e in events) and events[-1] == newest
    assert len(herald("audit", "list", "--last", "5000")[0]) == newest["seq"]
    readable(capsys, ["audit", "list"], ["audit", "verify"])
    verdict, _ = herald("audit", "verify")
    assert verdict["intact"] and verdict["events"] == newest["seq"]
    herald("audit", "verify", "--head", f"{newest['seq']}:{newest['hash']}")
    verdict, err = herald("audit", "verify", "--head", f"{newest['seq']}:{'0' * 64}", status=1)
    assert not verdict["intact"] and "the audit is broken" in err and err.count("\n") == 1
    assert "SEQ:HASH" in herald("audit", "verify", "--head", "7", status=1)[1]
    assert "SEQ:HASH" in herald("audit", "verify", "--head", "x:y", status=1)[1]
