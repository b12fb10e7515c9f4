"""``herald tokens`` and ``herald audit`` against the API, and an API by TLS."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controller.cli import token_words
from controller.cli.app import run
from controller.cli.errors import CliError
from tests.addressing_api import Api, furnished, running_api
from tests.certificates import Signer
from tests.command_line import speaker
from tests.unit.test_serve_tls import serving

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with running_api(tmp_path_factory.mktemp("cli")) as running:
        running.ids = furnished(running)
        yield running


@pytest.fixture
def herald(api: Api, monkeypatch, tmp_path, capsys):
    return speaker(api, monkeypatch, tmp_path, capsys)


def test_a_narrow_token_is_issued_used_shown_and_revoked_with_its_own(api: Api, herald) -> None:
    scopes = ["--scope", "prefixes:read", "--scope", "tokens:create,read"]
    made, _ = herald("tokens", "create", "--account", "acme", *scopes, "--expires", "8h")
    assert made["scopes"] == {"prefixes": ["read"], "tokens": ["read", "create"]}
    assert (made["role"], made["account_id"]) == ("customer", "acme")
    left = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=7.9) < left <= timedelta(hours=8)
    mine = ["--token", made["token"]]
    assert herald("prefixes", "list", *mine)[0]
    assert "out_of_scope" in herald("bindings", "list", *mine, status=1)[1]
    wider = ["--account", "acme", "--scope", "bindings:read", "--expires", "1h"]
    assert "wider_than_your_token" in herald("tokens", "create", *wider, *mine, status=1)[1]
    child, _ = herald(
        "tokens", "create", "--account", "acme", "--scope", "prefixes:read", "--expires", "1h", *mine
    )
    shown, _ = herald("tokens", "show", child["id"])
    assert shown["issued_by"] == made["id"] and "token" not in shown
    gone, _ = herald("tokens", "revoke", made["id"], "--with-issued")
    assert set(gone["revoked"]) == {made["id"], child["id"]}
    assert "was revoked" in herald("prefixes", "list", *mine, status=1)[1]


def test_each_role_by_the_command_line(herald, monkeypatch) -> None:
    logged: list[object] = []

    class Log:
        """The server is in this process: what it says must not mix with what the command prints."""

        def warning(self, event: str, **more: object) -> None:
            logged.append(more["reason"])

    monkeypatch.setattr("controller.addressing.access.log", Log())
    glass, _ = herald("tokens", "create", "--role", "break-glass", "--expires", "8h", "--reason", "fire")
    assert glass["role"] == "break-glass"
    _, err = herald("accounts", "add", "New", "--token", glass["token"], status=1)
    assert "reason_required" in err
    herald("accounts", "add", "New", "--token", glass["token"], "--reason", "fire")
    assert logged == [None, "fire"]
    task, _ = herald("tokens", "create", "--role", "task", "--scope", "prefixes:read", "--expires", "30d")
    assert (task["role"], task["account_id"]) == ("task", None)
    assert "needs an expires_at" in herald("tokens", "create", "--role", "break-glass", status=1)[1]


def test_the_audit_is_listed_newest_last_and_filtered(api: Api, herald) -> None:
    events, _ = herald("audit", "list", "--limit", "1000")
    assert [e["seq"] for e in events] == sorted(e["seq"] for e in events) and events[0]["seq"] == 1
    assert herald("audit", "list", "--limit", "2")[0] == events[-2:]
    assert herald("audit", "list", "--after", "1", "--limit", "2")[0] == events[1:3]
    approved, _ = herald("audit", "list", "--account", "acme", "--action", "approve")
    assert [e["object_id"] for e in approved] == [api.ids["prefix"]]
    assert herald("audit", "list", "--object", "nothing")[0] == []


def test_the_audit_is_verified_against_a_noted_head(herald) -> None:
    verdict, _ = herald("audit", "verify")
    seq, digest = verdict["head"]["seq"], verdict["head"]["hash"]
    assert verdict["intact"]
    herald("audit", "verify", "--head", f"{seq}:{digest}")
    broken, err = herald("audit", "verify", "--head", f"{seq + 1}:{digest}", status=1)
    assert broken["broken_at"] == seq + 1 and "cut off at the end" in err
    assert "no SEQ:HASH" in herald("audit", "verify", "--head", "5", status=1)[1]


def test_the_audit_is_watched_a_line_each(api: Api, herald, capsys) -> None:
    assert run(["audit", "watch", "--after", "0", "--for", "0", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [e["seq"] for e in lines] == list(range(1, len(lines) + 1)) and len(lines) > 5
    assert run(["audit", "watch", "--after", "0", "--for", "0", "--action", "approve"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert f"approve prefix {api.ids['prefix']} of acme: " in line
    assert run(["audit", "watch", "--for", "0"]) == 0 and capsys.readouterr().out == ""


def test_tables_for_people(herald, capsys) -> None:
    for argv in (["audit", "list"], ["audit", "verify"], ["tokens", "list"]):
        assert run(argv) == 0
        assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("word", ["", "prefixes", "prefixes:", ":read", "prefixes:look", "prefixes:read,"])
def test_scopes_that_are_none(word: str) -> None:
    with pytest.raises(CliError, match="RESOURCE:VERB"):
        token_words.scopes([word])


def test_scopes_of_one_resource_add_up_and_hyphens_are_taken() -> None:
    assert token_words.scopes(["bgp-prefixes:read", "bgp_prefixes:edit,read"]) == {
        "bgp_prefixes": ["read", "edit"]
    }
    assert token_words.scopes([]) is None


def test_how_long_a_token_lasts() -> None:
    for text, lasts in (
        ("90m", {"minutes": 90}),
        ("8h", {"hours": 8}),
        ("30d", {"days": 30}),
        ("2w", {"weeks": 2}),
    ):
        assert token_words.end(text, NOW) == NOW + timedelta(**lasts)
    for text in ("", "8", "h", "0h", "-1h", "1.5h", "8 h", "999999w"):
        with pytest.raises(CliError):
            token_words.end(text, NOW)


def test_an_api_by_tls_needs_its_signer(tmp_path: Path, capsys, monkeypatch) -> None:
    signer = Signer(tmp_path)
    cert, key, _ = signer.issue("api")
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("x")

    async def scenario() -> None:
        async with serving(tmp_path, cert, key) as serve:
            reach = ["accounts", "list", "--url", f"https://localhost:{serve.port}", "--token", serve.token]
            assert await asyncio.to_thread(run, [*reach, "--ca", str(signer.path), "--json"]) == 0
            assert json.loads(capsys.readouterr().out) == []
            for ca, says in (
                ([], "CERTIFICATE_VERIFY_FAILED"),
                (["--ca", str(nonsense)], "holds no certificate"),
                (["--ca", str(tmp_path / "none")], "cannot read"),
            ):
                assert await asyncio.to_thread(run, [*reach, *ca]) == 1
                err = capsys.readouterr().err
                assert says in err and err.count("\n") == 1, err
            monkeypatch.setenv("HERALD_CA", str(signer.path))
            assert await asyncio.to_thread(run, reach) == 0

    asyncio.run(scenario())
