"""Removal by the command line: asked for, done, undone; locks, transfers, migrations, intents, the ledger."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from controller.cli.app import run
from tests.addressing_api import Api, furnished, running_api
from tests.command_line import speaker

CIDR = "198.18.0.0/22"
WHY = ("--reason", "Ticket 9")
Herald = Callable[..., tuple[dict, str]]


@pytest.fixture
def api(tmp_path):
    with running_api(tmp_path) as running:
        furnished(running, cidr=CIDR)
        running.client().create_account("Globex", id="globex")
        yield running


@pytest.fixture
def herald(api: Api, monkeypatch, tmp_path, capsys) -> Herald:
    """The command line as the operator, or as somebody of the names below when told so."""
    call = speaker(api, monkeypatch, tmp_path, capsys)
    client = api.client()
    tokens = {
        "acme": client.create_token("customer", account_id="acme")["token"],
        "globex": client.create_token("customer", account_id="globex")["token"],
        "another": client.create_token("operator")["token"],  # the first token and its children are one
        "second": client.create_token("operator")["token"],
    }

    def as_somebody(*argv: str, who: str | None = None, status: int = 0):
        return call(*argv, *(("--token", tokens[who]) if who else ()), status=status)

    return as_somebody


def readable(capsys, *argvs: list[str]) -> None:
    for argv in argvs:
        assert run(argv) == 0
        out, _ = capsys.readouterr()
        assert out and "{" not in out, argv


def test_asked_for_deleted_and_brought_back(api: Api, herald: Herald, capsys) -> None:
    before = herald("prefixes", "show", CIDR)[0]
    assert "--reason" in herald("deletions", "request", CIDR, who="acme", status=2)[1]
    herald("deletions", "request", CIDR, *WHY, who="acme")
    herald("deletions", "cancel", CIDR, who="acme")
    herald("deletions", "request", CIDR, *WHY, who="acme")
    assert [p["cidr"] for p in herald("deletions", "pending")[0]] == [CIDR]
    counts = api.counts()
    assert "Nobody is there to answer" in herald("deletions", "add", CIDR, "--count", "1", *WHY, status=1)[1]
    assert herald("deletions", "add", CIDR, "--count", "1", *WHY, "--dry-run")[0]["count"] == 1
    _, err = herald("deletions", "add", CIDR, "--count", "2", "--yes", *WHY, status=1)
    assert "count_disagrees" in err and "(/expected_count)" in err
    assert api.counts() == counts
    deleted, _ = herald("deletions", "add", CIDR, "--count", "1", "--yes", *WHY)
    assert deleted["result"][0]["cidr"] == CIDR and deleted["change_set"]
    assert herald("prefixes", "list", "--account", "acme")[0] == []
    readable(capsys, ["deletions", "list"], ["deletions", "pending"])
    assert "grace" in herald("deletions", "purge", before["id"], "--count", "1", "--yes", status=1)[1]
    herald("prefixes", "undelete", CIDR, who="acme")
    after = herald("prefixes", "show", CIDR)[0]
    assert [b["id"] for b in after["bindings"]] == [b["id"] for b in before["bindings"]]
    assert "no deleted prefix is" in herald("deletions", "undelete", CIDR, status=1)[1]


def test_a_lock_opens_to_its_code_alone(herald: Herald, capsys) -> None:
    made, _ = herald("locks", "add", CIDR, who="acme")
    assert made["code"] and herald("locks", "show", CIDR)[0]["opens_with"] == "code"
    readable(capsys, ["locks", "show", CIDR])
    assert "unlock_refused" in herald("locks", "delete", CIDR, "--unlock", "wrong", who="acme", status=1)[1]
    assert "--unlock" in herald("locks", "delete", CIDR, "--unlock", "é", who="acme", status=1)[1]
    herald("locks", "delete", CIDR, "--unlock", made["code"], who="acme")
    assert "not_found" in herald("locks", "show", CIDR, status=1)[1]


def test_an_offer_is_taken_back_and_another_accepted(herald: Herald, capsys) -> None:
    herald("transfers", "add", CIDR, "globex", *WHY, who="acme")
    assert herald("transfers", "list")[0][0]["state"] == "offered"
    herald("transfers", "cancel", CIDR, who="acme")
    second, _ = herald("transfers", "add", CIDR, "globex", *WHY, who="acme")
    readable(capsys, ["transfers", "list"])
    assert herald("transfers", "accept", CIDR, who="globex")[0]["state"] == "accepted"
    assert herald("prefixes", "show", CIDR)[0]["account_id"] == "globex"
    assert "not_in_that_state" in herald("transfers", "accept", second["id"], who="globex", status=1)[1]
    (entry,) = herald("revocations", "list")[0]
    assert entry["kind"] == "transfer"
    readable(capsys, ["revocations", "list"])


def test_a_migration_from_its_plan_to_its_end(herald: Herald, capsys) -> None:
    herald("announce", CIDR, "--wait", "accepted", status=1)  # nobody rolls out here: its state is a 404
    now = datetime.now(UTC)
    window = ["--from", now.isoformat(), "--to", (now + timedelta(hours=1)).isoformat()]
    _, err = herald("migrations", "add", CIDR, "--count", "2", *window, *WHY, who="acme", status=1)
    assert "(/expected_count)" in err
    made, _ = herald("migrations", "add", CIDR, "--count", "1", *window, *WHY, who="acme")
    shown, _ = herald("migrations", "show", made["id"])
    readable(capsys, ["migrations", "list"], ["migrations", "show", made["id"]])
    assert (
        "(/confirmation)"
        in herald("migrations", "confirm", made["id"], "--code", "x", who="acme", status=1)[1]
    )
    herald("migrations", "confirm", made["id"], "--code", shown["confirmation"], who="acme")
    herald("migrations", "withdraw", made["id"], CIDR, "--dry-run", who="acme")
    done, _ = herald("migrations", "withdraw", made["id"], CIDR, "--yes", who="acme")
    assert (done["state"], done["withdrawn"]) == ("done", [CIDR])
    assert "not_in_that_state" in herald("migrations", "cancel", made["id"], who="acme", status=1)[1]


def test_two_operators_make_an_intent_and_a_write_names_it(herald: Herald, capsys) -> None:
    asked = ["intents", "add", "delete", CIDR, "--account", "acme"]
    made, _ = herald(*asked, *WHY, who="another")
    assert "--reason" in herald(*asked, status=2)[1]
    for one_person in (None, "another"):
        says = herald("intents", "confirm", made["id"], who=one_person, status=1)[1]
        assert "second_operator_needed" in says
    assert herald("intents", "confirm", made["id"], who="second")[0]["state"] == "signed"
    readable(capsys, ["intents", "list"], ["intents", "show", made["id"]], ["intents", "keys"])
    deletion = ["deletions", "add", CIDR, "--count", "1", "--yes", *WHY]
    assert "not_pending_delete" in herald(*deletion, status=1)[1]
    assert "--intent" in herald(*deletion, "--intent", "a b", status=2)[1]
    herald(*deletion, "--intent", made["id"])
    assert herald("intents", "show", made["id"])[0]["state"] == "used"


def test_a_legal_order_is_entered_once_somebody_says_yes(api: Api, herald: Herald) -> None:
    order = ["revocations", "add", CIDR, "--account", "acme", *WHY]
    counts = api.counts()
    assert "Nobody is there" in herald(*order, status=1)[1]
    herald(*order, "--dry-run")
    assert "against whom" in herald("revocations", "add", CIDR, *WHY, status=1)[1]
    assert api.counts() == counts
    assert herald(*order, "--yes")[0]["kind"] == "legal_order"
