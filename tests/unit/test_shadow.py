"""``herald shadow`` sees what a release would do: the outage's clean-up is the candidate."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from controller.cli.app import run
from controller.rollout.tables import SiteRow
from controller.shadow.copying import silence
from controller.shadow.reading import read_facts
from tests.addressing_api import Api
from tests.addressing_api import running_api as serving  # SQLite is enough here
from tests.customers import Customer
from tests.removal import admit, cast

ROOT = Path(__file__).parents[2]
ADVERTISED = ("198.51.100.0/24", "198.51.101.0/24")
ASKED = ("192.0.2.0/24", *(f"198.18.{n}.0/24" for n in range(10)))
"""More than a run may remove without the approval of a second person."""


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store as production has it: two advertised prefixes, one that is to be removed, one that is bound."""
    folder = tmp_path_factory.mktemp("production")
    with serving(folder) as api, cast(api) as stage:
        globex = Customer(api, "globex")
        for cidr in ADVERTISED:
            prefix = stage.another(cidr, "globex")
            bgp = globex.call("GET", f"prefixes/{prefix}/bgp/prefixes")[0]["id"]
            globex.call("PATCH", f"prefixes/{prefix}/bgp/prefixes/{bgp}", {"on_demand": {"advertised": True}})
        stage.another("203.0.113.0/24")
        for prefix in (stage.prefix, *(stage.another(cidr) for cidr in ASKED[1:])):
            assert stage.ask_deletion(prefix).status_code == 200
        hook = {"url": "https://hooks.example/", "events": ["*"]}
        assert stage.owner.post("/herald/v1/accounts/acme/webhooks", json=hook).status_code == 200
        admit(api, "acme")
        _note_sites(api)
    return folder / "herald.db"


def _note_sites(api: Api) -> None:
    with api.store.write() as session:
        session.add_all([SiteRow(name=name, generation=1) for name in ("ams", "fra", "sin")])


@pytest.fixture
def release(tmp_path: Path) -> Callable[[str], Path]:
    """Make a checkout of this code that brings one more task, ``module:task`` of tests/candidates."""

    def made(task: str) -> Path:
        folder = tmp_path / "release"
        for package in ("controller", "labs", "tests"):
            (folder / package).parent.mkdir(exist_ok=True)
            (folder / package).symlink_to(ROOT / package)
        told = folder / "broken-1.dist-info"
        told.mkdir()
        (told / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
        (told / "entry_points.txt").write_text(f"[herald.tasks]\nbroken = tests.candidates.{task}\n")
        return folder

    return made


@pytest.fixture
def shadow(production: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Any]]:
    def tried(*argv: str) -> tuple[int, Any]:
        before = production.read_bytes()
        status = run(["shadow", "--store", str(production), "--json", *argv])
        out, err = capsys.readouterr()
        assert production.read_bytes() == before, "the store itself was touched"
        return status, json.loads(out) if out else err

    return tried


def test_this_release_takes_away_what_owners_asked_for_and_nothing_else(shadow) -> None:
    status, found = shadow()
    assert status == 0 and found["safe"] and found["unasked"] == 0, found
    (clean_up, report) = found["tasks"]
    assert (clean_up["name"], clean_up["state"], report["state"]) == ("clean-up", "done", "done")
    meant = {(m["cidr"], m["what"], m["asked"], m["outcome"]) for m in clean_up["meant"]}
    assert meant == {(cidr, "delete", True, "done") for cidr in ASKED}
    assert {(t["cidr"], t["what"]) for t in found["configured"]} == {
        (cidr, what) for cidr in ASKED for what in ("deleted", "unbound")
    }
    lost = {(t["cidr"], t["what"], t["sites"], t["asked"]) for t in found["operational"]}
    assert lost == {(cidr, "unbind", 3, True) for cidr in ASKED}
    assert found["compiled"] == [] and found["problems"] == []


def test_the_outages_call_is_refused_with_a_400_and_that_is_shown(shadow, release) -> None:
    folder = release("broken_clean_up:WITHOUT_A_VALUE")
    status, found = shadow("--candidate", str(folder), "--tasks", "clean-up-without-a-value")
    (task,) = found["tasks"]
    assert task["state"] == "failed" and "malformed_query" in task["reason"], found
    assert any("pending_delete" in r for r in task["refused"]) and task["meant"] == []
    assert found["configured"] == [] and found["unasked"] == 0
    assert status == 1 and "ended as failed" in found["problems"][0], "a broken task is no pass"


def test_a_clean_up_of_everything_is_caught_and_all_that_it_would_have_done_is_told(shadow, release) -> None:
    status, found = shadow("--candidate", str(release("broken_clean_up:EVERYTHING")), "--tasks", "clean-up")
    assert status == 1 and not found["safe"], found
    (task,) = found["tasks"]
    meant = {(m["account_id"], m["cidr"], m["what"], m["asked"]) for m in task["meant"]}
    assert meant == {
        *(("acme", cidr, "delete", True) for cidr in ASKED),
        ("acme", "203.0.113.0/24", "delete", False),
        *(("globex", cidr, "delete", False) for cidr in ADVERTISED),
    }
    outcomes = {m["cidr"]: m["outcome"] for m in task["meant"]}
    assert outcomes["192.0.2.0/24"] == "done" and "still_advertised" in outcomes[ADVERTISED[0]]
    assert "neither its owner nor two operators" in outcomes["203.0.113.0/24"]
    assert found["unasked"] == 3
    assert {t["cidr"] for t in found["configured"]} == {*ASKED}, "the other guards stood behind it"


def test_a_release_without_guards_is_seen_in_the_copy(release, production, capsys) -> None:
    folder = release("no_guards:UNGUARDED")
    argv = ["shadow", "--store", str(production), "--candidate", str(folder), "--tasks", "clean-up"]
    assert run(argv) == 1
    out, _ = capsys.readouterr()
    rows = {tuple(line.split()) for line in out.splitlines()}
    for cidr in ADVERTISED:
        assert ("operational", "globex", cidr, "withdraw", "3", "no") in rows, out
        assert ("operational", "globex", cidr, "unbind", "3", "no") in rows, out
        assert ("configured", "globex", cidr, "deleted", "0", "no") in rows, out
    assert ("operational", "acme", "192.0.2.0/24", "unbind", "3", "yes") in rows, out
    assert "times something would be taken away that its owner did not ask for" in out
    assert out.count("intents: nobody asked for") == 3, "its guards held the change-sets, and say why"


def test_nobody_is_told_of_what_happens_in_a_copy(production: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    shutil.copy(production, copy)
    silence(copy)
    rows = sqlite3.connect(copy).execute("SELECT url, disabled_at FROM webhooks").fetchall()
    assert rows and all(url == "https://shadow.invalid/" and at for url, at in rows)
    assert sqlite3.connect(copy).execute("SELECT count(*) FROM deliveries").fetchone() == (0,)


def test_what_cannot_be_tried_is_one_line_and_never_a_pass(production: Path, tmp_path: Path, capsys) -> None:
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    for argv, code, says in (
        ([], 2, "give one of them"),
        (["--store", str(tmp_path / "no.db")], 1, "there is no store"),
        (["--export", str(tmp_path / "no.jsonl")], 1, "cannot read"),
        (["--store", str(production), "--candidate", str(nothing)], 1, "no checkout of Herald"),
        (["--store", str(production), "--candidate", "/bin/false"], 1, "does not start"),
    ):
        assert run(["shadow", *argv]) == code, argv
        err = capsys.readouterr().err
        assert says in err and err.count("\n") == 1, err


def test_the_facts_are_read_without_the_releases_help(production: Path) -> None:
    facts = read_facts(production, datetime.now(UTC))
    assert {p.cidr for p in facts.prefixes.values() if p.asked} == {*ASKED}
    assert sum(b.advertised for b in facts.bgp_prefixes.values()) == 2 and facts.sites == (
        "ams",
        "fra",
        "sin",
    )
